"""ServiceNow: incidents, change requests and the CMDB."""
