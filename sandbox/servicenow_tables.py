"""The part of ServiceNow's data dictionary that the sandbox knows: columns, references, choices, states."""

from __future__ import annotations

_SYS = "sys_id sys_created_on sys_created_by sys_updated_on sys_updated_by sys_mod_count sys_class_name"
_TASK = (
    "number short_description description state impact urgency priority active assignment_group assigned_to "
    "cmdb_ci business_service service_offering opened_at opened_by closed_at closed_by close_code "
    "close_notes correlation_id correlation_display work_notes comments parent location company contact_type "
    "escalation made_sla knowledge approval upon_approval upon_reject watch_list due_date time_worked "
)
COLUMNS: dict[str, tuple[str, ...]] = {
    table: tuple(f"{columns} {_SYS}".split())
    for table, columns in {
        "incident": _TASK
        + "category subcategory caller_id severity resolved_at resolved_by reopen_count hold_reason "
        "parent_incident problem_id rfc caused_by incident_state",
        "change_request": _TASK
        + "type risk risk_impact_analysis category justification implementation_plan backout_plan test_plan "
        "start_date end_date requested_by requested_by_date chg_model std_change_producer_version on_hold "
        "phase reason conflict_status conflict_last_run cab_required",
        "cmdb_ci": "name short_description operational_status install_status support_group assignment_group "
        "owned_by managed_by business_criticality environment ip_address fqdn category subcategory "
        "correlation_id discovery_source used_for serial_number",
        "cmdb_rel_ci": "parent child type",
        "sys_user": "user_name name first_name last_name email active title manager time_zone "
        "web_service_access_only internal_integration_user",
        "sys_user_group": "name description manager email active type",
        "sys_user_grmember": "user group",
        "sys_journal_field": "name element element_id value",
        "sys_audit": "tablename documentkey fieldname oldvalue newvalue user reason record_checkpoint",
        "sys_attachment": "table_name table_sys_id file_name content_type size_bytes size_compressed "
        "compressed download_link image_width image_height average_image_color sys_tags",
    }.items()
}

_TASK_REFERENCES = {
    "assignment_group": "sys_user_group",
    "assigned_to": "sys_user",
    "cmdb_ci": "cmdb_ci",
    "business_service": "cmdb_ci",
    "opened_by": "sys_user",
    "closed_by": "sys_user",
}
REFERENCES: dict[str, dict[str, str]] = {
    "incident": {
        **_TASK_REFERENCES,
        "caller_id": "sys_user",
        "resolved_by": "sys_user",
        "parent_incident": "incident",
        "rfc": "change_request",
        "caused_by": "change_request",
    },
    "change_request": {**_TASK_REFERENCES, "requested_by": "sys_user"},
    "cmdb_ci": {
        "support_group": "sys_user_group",
        "assignment_group": "sys_user_group",
        "owned_by": "sys_user",
        "managed_by": "sys_user",
    },
    "cmdb_rel_ci": {"parent": "cmdb_ci", "child": "cmdb_ci"},
    "sys_user": {"manager": "sys_user"},
    "sys_user_group": {"manager": "sys_user"},
    "sys_user_grmember": {"user": "sys_user", "group": "sys_user_group"},
}
# Columns that name a row of a referenced table as well as its sys_id does; the first is what people see.
NAMES: dict[str, tuple[str, ...]] = {
    "sys_user": ("name", "user_name", "email"),
    "sys_user_group": ("name",),
    "cmdb_ci": ("name", "fqdn"),
    "incident": ("number",),
    "change_request": ("number",),
}
# Columns with an index. Of journal and audit the first one names the record that the row belongs to.
INDEXED: dict[str, tuple[str, ...]] = {
    **NAMES,
    "incident": ("number", "correlation_id"),
    "change_request": ("number", "correlation_id"),
    "sys_journal_field": ("element_id",),
    "sys_audit": ("documentkey",),
    "sys_attachment": ("table_sys_id",),
    "sys_user_grmember": ("user", "group"),
    "cmdb_rel_ci": ("parent", "child"),
}

_LEVELS = {"1": "1 - High", "2": "2 - Medium", "3": "3 - Low"}
_PRIORITIES = {
    "1": "1 - Critical",
    "2": "2 - High",
    "3": "3 - Moderate",
    "4": "4 - Low",
    "5": "5 - Planning",
}
CHOICES: dict[str, dict[str, dict[str, str]]] = {
    "incident": {
        "state": {
            "1": "New",
            "2": "In Progress",
            "3": "On Hold",
            "6": "Resolved",
            "7": "Closed",
            "8": "Canceled",
        },
        "impact": _LEVELS,
        "urgency": _LEVELS,
        "severity": _LEVELS,
        "priority": _PRIORITIES,
    },
    "change_request": {
        "state": {
            "-5": "New",
            "-4": "Assess",
            "-3": "Authorize",
            "-2": "Scheduled",
            "-1": "Implement",
            "0": "Review",
            "3": "Closed",
            "4": "Canceled",
        },
        "impact": _LEVELS,
        "priority": _PRIORITIES,
        "risk": {"2": "High", "3": "Moderate", "4": "Low"},
        "type": {"normal": "Normal", "standard": "Standard", "emergency": "Emergency"},
    },
    "cmdb_ci": {"operational_status": {"1": "Operational", "2": "Non-Operational", "6": "Retired"}},
}
PRIORITY = {  # (impact, urgency) -> priority, as the shipped lookup rules have it
    ("1", "1"): "1",
    ("1", "2"): "2",
    ("2", "1"): "2",
    ("1", "3"): "3",
    ("2", "2"): "3",
    ("3", "1"): "3",
    ("2", "3"): "4",
    ("3", "2"): "4",
    ("3", "3"): "5",
}
DEFAULTS: dict[str, dict[str, str]] = {
    "incident": {
        "state": "1",
        "impact": "3",
        "urgency": "3",
        "severity": "3",
        "priority": "5",
        "active": "true",
        "category": "inquiry",
        "reopen_count": "0",
        "made_sla": "true",
        "knowledge": "false",
        "escalation": "0",
        "upon_approval": "proceed",
        "upon_reject": "cancel",
        "approval": "not requested",
    },
    "change_request": {
        "state": "-5",
        "type": "normal",
        "impact": "3",
        "priority": "4",
        "risk": "3",
        "active": "true",
        "phase": "requested",
        "approval": "not requested",
        "on_hold": "false",
        "cab_required": "false",
        "conflict_status": "Not Run",
    },
    "cmdb_ci": {"operational_status": "1", "install_status": "1"},
    "sys_user": {
        "active": "true",
        "web_service_access_only": "false",
        "internal_integration_user": "false",
    },
    "sys_user_group": {"active": "true"},
}
ENDED = {"incident": frozenset({"6", "7", "8"}), "change_request": frozenset({"3", "4"})}
INACTIVE = {"incident": frozenset({"7", "8"}), "change_request": frozenset({"3", "4"})}
NEEDS_CLOSE_FIELDS = {"incident": frozenset({"6", "7"})}
NUMBER_PREFIX = {"incident": "INC", "change_request": "CHG"}
JOURNALS = frozenset({"work_notes", "comments"})
READ_ONLY = frozenset({*_SYS.split(), "number", "active", "opened_by", "reopen_count"})
# The shipped audit keeps no row for these: they are the bookkeeping of each update, or kept as journal.
UNAUDITED = JOURNALS | frozenset(_SYS.split())
