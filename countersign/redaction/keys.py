"""Keys: the shapes that issuers give their secrets, and the issuers that give them none."""

from __future__ import annotations

# A key that carries a mark of its issuer is known by it, wherever it stands.
MARKED = (
    r"ops_eyJ[\w+/=-]{40,}",
    r"AGE-SECRET-KEY-1[0-9A-Z]{40,}",
    r"pat[A-Za-z0-9]{14}\.[0-9a-f]{64}",
    r"sk-[A-Za-z0-9_-]{20,}",
    r"AKCp[A-Za-z0-9]{20,}",
    r"cmVmd[A-Za-z0-9]{40,}",
    r"(?:A3T[A-Z0-9]|AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}",
    r"ABSK[A-Za-z0-9+/]{60,}={0,2}",
    r"bedrock-api-key-[A-Za-z0-9+/=]{20,}",
    r"[A-Za-z0-9_~.]{3}\dQ~[A-Za-z0-9_~.-]{31,34}",
    r"CLOJARS_[a-z0-9]{40,}",
    r"dapi[0-9a-f]{32}(?:-\d)?",
    r"dnkey-[\w=-]{20,}",
    r"duffel_(?:test|live)_[\w=-]{20,}",
    r"EZ[AT]K[a-zA-Z0-9]{40,}",
    r"FLW(?:PUB|SEC)K(?:_TEST)?-[0-9a-zA-Z]{12,}(?:-X)?",
    r"fm[12][a-z]{0,2}_[\w+/]{40,}={0,3}",
    r"(?:sk|pk|rk)_(?:[a-z]{4}_)?[A-Za-z0-9]{10,}",
    r"AIza[\w-]{35}",
    r"github_pat_\w{22,}",
    r"gh[pousr]_[A-Za-z0-9]{30,}",
    r"gl[a-z]{2,6}-[\w-]{16,}(?:\.[\w.]{2,})?",
    r"GR1348941[\w-]{20}",
    r"eyJrIjoi[A-Za-z0-9+/]{30,}={0,3}",
    r"glsa_[A-Za-z0-9]{32}_[A-Fa-f0-9]{8}",
    r"glc_[A-Za-z0-9+/]{32,}={0,3}",
    r"[ps]at\.[\w-]{22}\.[0-9a-zA-Z]{24}\.\w{20}",
    r"[a-zA-Z0-9]{14}\.atlasv1\.[\w=-]{40,}",
    r"api_org_[a-zA-Z]{34}",
    r"hf_[a-zA-Z]{34}\b",
    r"s-s4t2[ua][df]-[0-9a-f]{64}",
    r"npm_[a-zA-Z0-9]{36}",
    r"ntn_\d{11}[A-Za-z0-9]{35}",
    r"secret_[A-Za-z0-9]{40,}",
    r"pscale_\w{2,8}_[\w=.-]{30,}",
    r"PMAK-[0-9a-f]{24}-[0-9a-f]{34}",
    r"pnu_[a-zA-Z0-9]{36}",
    r"pul-[0-9a-f]{40}",
    r"pypi-AgEIcHlwaS5vcmc[\w-]{40,}",
    r"rdme_[a-z0-9]{60,}",
    r"rubygems_[0-9a-f]{40,}",
    r"tk-us-[\w-]{40,}",
    r"sntry[su]_[\w+/=]{40,}",
    r"sm_[a-z]{3}_[a-zA-Z0-9]{16}",
    r"xox[a-z](?:[.A-Za-z]xox[a-z])?-[A-Za-z0-9-]{8,}",
    r"xapp-\d-[A-Z0-9]+-\d+-[a-z0-9]+",
    r"sgp_(?:[a-fA-F0-9]{16}_|local_)?[a-fA-F0-9]{40}",
    r"SK[0-9a-fA-F]{32}",
    r"tfp_[\w.=-]{40,}",
    r"hv[sbr]\.[\w-]{24,}",
    r"s\.[a-zA-Z0-9]{24}",
    r"t1\.[A-Za-z0-9_-]+\.[\w-]{60,}={0,2}",
    r"NR(?:II|AK|JS)-[A-Za-z0-9-]{19,}",
    r"sl\.[\w=-]{60,}",
    r"[pst]k\.[a-zA-Z0-9]{40,}\.[a-zA-Z0-9]{20,}",
    r"[A-Za-z0-9]{6}_[A-Za-z0-9]{29}_mmk",
    r"(?:test|live)_(?:pub_)?[0-9a-f]{31,35}",
    r"pubkey-[0-9a-f]{32}",
    r"key-[0-9a-f]{32}",
    r"[0-9a-f]{32}-us\d{1,2}",
    r"LTAI[A-Za-z0-9]{17,}",
    r"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}",
    r"do[orp]_v1_[0-9a-f]{64}",
    r"dp\.[a-z]{2,7}\.(?:[a-z0-9_-]{2,35}\.)?[a-zA-Z0-9]{40,44}",
    r"SG\.[\w=.-]{60,}",
    r"xkeysib-[0-9a-f]{64}-[a-zA-Z0-9]{16}",
    r"lin_(?:api|oauth)_[A-Za-z0-9]{32,}",
    r"dd[ap]_[A-Za-z0-9]{30,}",
    r"pplx-[A-Za-z0-9]{40,}",
    r"(?:ext|sc|acc|authress)_[a-zA-Z0-9]{5,30}\.[a-zA-Z0-9]{4,6}\.acc[_-][a-zA-Z0-9-]{10,32}"
    r"\.[A-Za-z0-9+/_=-]{30,120}",
    r"ey[A-Za-z0-9]{15,}\.ey[\w/-]{15,}\.[\w/-]{10,}={0,2}",
    r"ATATT3[\w=-]{100,}",
    r"A3-[A-Z0-9]{6}-(?:[A-Z0-9]{11}|[A-Z0-9]{6}-[A-Z0-9]{5})(?:-[A-Z0-9]{5}){3}",
    r"https://hooks.slack.com/(?:services|workflows|triggers)/[\w+/]{40,}",
    r"ya29\.[\w-]{30,}",
    r"API-[A-Z0-9]{26}",
    r"\$(?:1|2[abxy]|5|6|y|apr1|argon2id?)\$[\w./$=,+-]{20,}",  # a password's hash, as in /etc/shadow
)

# Issuers whose keys have no mark: beside such a name a random token is taken for a key.
ISSUERS = (
    r"adafruit|adobe|airtable|algolia|alibaba|artifactory|asana|atlassian|aws|azure|beamer|bitbucket|"
    r"bittrex|cisco|meraki|cloudflare|codecov|cohere|coinbase|confluence|confluent|contentful|"
    r"datadog|discord|dnkey|droneci|dropbox|etsy|facebook|fastly|finicity|finnhub|flickr|freshbooks|"
    r"gitter|gocardless|grafana|heroku|hubspot|intercom|jfrog|jira|kraken|kucoin|launchdarkly|linear|"
    r"linkedin|linked[_-]in|lob|mailchimp|mailgun|mapbox|mattermost|maxmind|message[_-]?bird|netlify|"
    r"new[_-]?relic|nytimes|newyorktimes|okta|openai|pagerduty|plaid|privateai|rapidapi|sendbird|"
    r"sendgrid|sentry|servicenow|slack|snyk|sonar|splunk|square|squarespace|sumo|telegram|travis|"
    r"twilio|twitch|twitter|typeform|yandex|zendesk|contribsys__com|jenkins|vault"
)
