//! Single faults, each with the words it must be told in.

use super::SECRET;

/// In the file, beside a sound workspace: TOML, the key of the only fault, words of it.
pub(super) const FILE_FAULTS: &[(&str, &str, &[&str])] = &[
    (
        "download.concurrency = 0",
        "download.concurrency",
        &["= 0", "from 1 to 256"],
    ),
    (
        "download.concurrency = 257",
        "download.concurrency",
        &["= 257", "from 1 to 256"],
    ),
    (
        "download.concurrency = 1.5",
        "download.concurrency",
        &["= 1.5", "whole number"],
    ),
    (
        "download.concurrency = true",
        "download.concurrency",
        &["= true", "whole number"],
    ),
    (
        "download.max_attempts = 1001",
        "download.max_attempts",
        &["from 1 to 1000"],
    ),
    (
        "download.max_redirects = -1",
        "download.max_redirects",
        &["from 0 to 10"],
    ),
    ("download.max_bytes = 0", "download.max_bytes", &["1 GiB", "from 1 "]),
    (
        "download.max_bytes = \"much\"",
        "download.max_bytes",
        &["\"much\"", "size"],
    ),
    (
        "download.stall_timeout = 30",
        "download.stall_timeout",
        &["= 30", "unit", "\"30s\""],
    ),
    (
        "download.stall_timeout = \"0s\"",
        "download.stall_timeout",
        &["1ms", "24h"],
    ),
    (
        "download.stall_timeout = \"5h\"",
        "download.stall_timeout",
        &["longer than download.total_timeout", "4h (default)"],
    ),
    (
        "download.total_timeout = \"1s\"",
        "download.total_timeout",
        &["= 1s", "download.stall_timeout is 30s (default)"],
    ),
    (
        "download.total_timeout = \"11 years\"",
        "download.total_timeout",
        &["10 years"],
    ),
    (
        "download.expiry_margin = \"-20s\"",
        "download.expiry_margin",
        &["length of time"],
    ),
    (
        "verify.sample = \"2/30\"",
        "verify.sample",
        &["\"2/30\"", "1/30", "off"],
    ),
    ("verify.sample = \"1/0\"", "verify.sample", &["1/30"]),
    (
        "notify.url = \"http://hc.example/secret-uuid\"",
        "notify.url",
        &["loopback only"],
    ),
    ("notify.url = \"hc-ping.com/uuid\"", "notify.url", &["expected the URL"]),
    (
        "notify.url = \"ftp://hc-ping.com/uuid\"",
        "notify.url",
        &["expected the URL"],
    ),
    (
        "notify.url = \"https://me:pw@hc-ping.com/uuid\"",
        "notify.url",
        &["no user, password or fragment"],
    ),
    ("notify.url = 7", "notify.url", &["expected text"]),
    (
        "notify.url = \"https://h/1\"\nnotify.url_file = \"x\"",
        "notify.url",
        &["url_file too", "keep one"],
    ),
    (
        "notify.url_file = \"nowhere.url\"",
        "notify.url_file",
        &["cannot read", "nowhere.url"],
    ),
    ("notify.command = []", "notify.command", &["a list, such as"]),
    ("notify.command = [\"tell\"]", "notify.command", &["absolute path"]),
    (
        "notify.command = [\"/bin/tell\", 7]",
        "notify.command",
        &["a list, such as"],
    ),
    ("notify.timeout = \"11m\"", "notify.timeout", &["from 1ms to 10m"]),
    (
        "notify.events = [\"gave-up\"]",
        "notify.events",
        &["gave_up, paused, damage_found, disk_low"],
    ),
    ("notify.events = []", "notify.events", &["some of: gave_up"]),
    ("verify.rate = 0", "verify.rate", &["from 1 "]),
    ("download.min_rate = -1", "download.min_rate", &["size"]),
    (
        "download.allowed_hosts = []",
        "download.allowed_hosts",
        &["at least one host"],
    ),
    (
        "download.allowed_hosts = [\"a.b\", \"*\"]",
        "download.allowed_hosts",
        &["entry 2", "'*'"],
    ),
    ("download.allowed_hosts = [1]", "download.allowed_hosts", &["in quotes"]),
    (
        "download.allowed_hosts = \"*.com\"",
        "download.allowed_hosts",
        &["two labels"],
    ),
    (
        "download.private_hosts = [\"*\"]",
        "download.private_hosts",
        &["entry 1", "'*'"],
    ),
    (
        "tls.extra_ca_file = \"nowhere.pem\"",
        "tls.extra_ca_file",
        &["cannot read", "nowhere.pem"],
    ),
    (
        "tls.extra_ca_file = \"support.key\"",
        "tls.extra_ca_file",
        &["support.key", "no certificate in PEM form"],
    ),
    ("tls.verify = false", "tls.verify", &["known here: extra_ca_file"]),
    ("api.page_size = 100", "api.page_size", &["= 100", "from 1 to 99"]),
    (
        "api.requests_per_second = 0",
        "api.requests_per_second",
        &["from 1 to 1000"],
    ),
    ("api.timeout = \"soon\"", "api.timeout", &["\"soon\"", "length of time"]),
    (
        "api.base_url = \"http://api.bird.com\"",
        "api.base_url",
        &["loopback only", "https://"],
    ),
    (
        "api.base_url = \"https://u:p@api.bird.com\"",
        "api.base_url",
        &["no user"],
    ),
    (
        "api.base_url = \"https://api.bird.com?k=v\"",
        "api.base_url",
        &["query"],
    ),
    (
        "api.base_url = \"api.bird.com\"",
        "api.base_url",
        &["https://api.bird.com"],
    ),
    (
        "api.base_url = \"ftp://api.bird.com\"",
        "api.base_url",
        &["expected a URL"],
    ),
    (
        "api.max_page_bytes = 1",
        "api.max_page_bytes",
        &["from 1.0 KiB to 64.0 MiB"],
    ),
    (
        "api.max_page_bytes = \"65 MiB\"",
        "api.max_page_bytes",
        &["from 1.0 KiB to 64.0 MiB"],
    ),
    ("api.max_page_items = 98", "api.max_page_items", &["from 99 to 100000"]),
    (
        "api.max_item_bytes = \"2 MiB\"",
        "api.max_item_bytes",
        &["from 4.0 KiB to 1.0 MiB"],
    ),
    ("api.max_json_depth = 121", "api.max_json_depth", &["from 8 to 120"]),
    (
        "api.kept_item_bytes = 0",
        "api.kept_item_bytes",
        &["from 1.0 KiB to 1.0 MiB"],
    ),
    ("sync.interval = \"999ms\"", "sync.interval", &["from 1s"]),
    (
        "sync.interval = \"25h\"",
        "sync.interval",
        &["longer than sync.full_walk_interval", "24h (default)"],
    ),
    ("sync.since = \"2024-01-01\"", "sync.since", &["2024-01-01T00:00:00Z"]),
    ("sync.since = 2024-01-01", "sync.since", &["2024-01-01T00:00:00Z"]),
    ("sync.max_pages = 0", "sync.max_pages", &["from 1"]),
    ("archive.dir = \"\"", "archive.dir", &["empty"]),
    ("archive.dir = \"~/calls\"", "archive.dir", &["whole path"]),
    ("archive.dir = \"a\\u0000b\"", "archive.dir", &["NUL"]),
    ("archive.id = \"a b\"", "archive.id", &["archive.json"]),
    ("archive.min_free = \"1 parsec\"", "archive.min_free", &["\"1 GiB\""]),
    (
        "archive.group_readable = \"maybe\"",
        "archive.group_readable",
        &["true or false"],
    ),
    ("http.listen = \"localhost:8460\"", "http.listen", &["127.0.0.1:8460"]),
    ("shutdown.grace = \"2h\"", "shutdown.grace", &["1h"]),
    ("archive = 3", "archive", &["[archive]", "section"]),
    ("archive.dri = \"/x\"", "archive.dri", &["did you mean archive.dir?"]),
    (
        "archive.dir.path = \"/x\"",
        "archive.dir",
        &["a section", "expected text"],
    ),
    ("[downloads]\nconcurrency = 1", "downloads", &["did you mean download?"]),
    (
        "[api]\nconcurrency = 1",
        "api.concurrency",
        &["did you mean download.concurrency?"],
    ),
    (
        "[telemetry]\nlevel = 1",
        "telemetry",
        &["the sections are: api, archive"],
    ),
    ("\"a[99999999999]\" = 1", "\"a[99999999999]\"", &["not a known key"]),
    (
        "[workspaces.support2]\nid = \"w-2\"\nacces_key = \"k\"\naccess_key = \"k\"",
        "workspaces.support2.acces_key",
        &["did you mean workspaces.support2.access_key?"],
    ),
    (
        "[workspaces.\"Two Words\"]\nid = \"w-2\"\naccess_key = \"k\"",
        "workspaces.\"Two Words\"",
        &["a-z, 0-9"],
    ),
    ("[workspaces]\ntwo = 5", "workspaces.two", &["[workspaces.two]"]),
    (
        "[workspaces.two]\naccess_key = \"k\"",
        "workspaces.two.id",
        &["not set", "missing"],
    ),
    (
        "[workspaces.two]\nid = 5\naccess_key = \"k\"",
        "workspaces.two.id",
        &["in quotes"],
    ),
    (
        "[workspaces.two]\nid = \"a/b\"\naccess_key = \"k\"",
        "workspaces.two.id",
        &["1 to 64"],
    ),
    (
        "[workspaces.two]\nid = \"W-1\"\naccess_key = \"k\"",
        "workspaces.two.id",
        &["workspaces.support"],
    ),
    (
        "[workspaces.two]\nid = \"w-2\"",
        "workspaces.two.access_key",
        &["BIRDKEEP_WORKSPACES__TWO__ACCESS_KEY"],
    ),
    (
        "[workspaces.two]\nid = \"w-2\"\naccess_key = 7",
        "workspaces.two.access_key",
        &["in quotes"],
    ),
    (
        "[workspaces.two]\nid = \"w-2\"\naccess_key = \"\"",
        "workspaces.two.access_key",
        &["empty"],
    ),
    (
        "[workspaces.two]\nid = \"w-2\"\naccess_key = \"AccessKey k\"",
        "workspaces.two.access_key",
        &["without AccessKey"],
    ),
    (
        "[workspaces.two]\nid = \"w-2\"\naccess_key = \"k\"\nbearer_token = \"t\"",
        "workspaces.two.access_key",
        &["one credential", "bearer_token (file "],
    ),
    (
        "[workspaces.two]\nid = \"w-2\"\naccess_key_file = \"none.key\"",
        "workspaces.two.access_key_file",
        &["none.key", "No such file"],
    ),
    (
        "[workspaces.two]\nid = \"w-2\"\naccess_key_file = \".\"",
        "workspaces.two.access_key_file",
        &["directory"],
    ),
    (
        "[workspaces.two]\nid = \"w-2\"\nbearer_token_file = \"/dev/null\"",
        "workspaces.two.bearer_token_file",
        &["empty"],
    ),
    (
        "[workspaces.two]\nid = \"w-2\"\nbearer_token_file = \"/dev/zero\"",
        "workspaces.two.bearer_token_file",
        &["longer"],
    ),
];

/// In the environment, beside a sound workspace: variable, value, the key of the only fault, words of it.
pub(super) const ENV_FAULTS: &[(&str, &str, &str, &[&str])] = &[
    (
        "DOWNLOAD__CONCURRENCY",
        "many",
        "download.concurrency",
        &["\"many\"", "from 1 to 256"],
    ),
    ("DOWNLOAD__CONCURRENCY", "", "download.concurrency", &["empty", "unset"]),
    ("API__TIMEOUT", "30", "api.timeout", &["\"30s\""]),
    (
        "DOWNLOAD_CONCURRENCY",
        "4",
        "download_concurrency",
        &["did you mean BIRDKEEP_DOWNLOAD__CONCURRENCY?"],
    ),
    (
        "ACCESS_KEY",
        SECRET,
        "access_key",
        &["did you mean BIRDKEEP_WORKSPACES__SUPPORT__ACCESS_KEY?"],
    ),
    (
        "WORKSPACE__SUPPORT__ID",
        "w-1",
        "workspace",
        &["did you mean BIRDKEEP_WORKSPACES__…?"],
    ),
    (
        "WORKSPACES__SUPPORT__KEYS",
        SECRET,
        "workspaces.support.keys",
        &["known here: access_key"],
    ),
    (
        "WORKSPACES__SUPPORT__ACCES_KEY",
        SECRET,
        "workspaces.support.acces_key",
        &["BIRDKEEP_WORKSPACES__SUPPORT__ACCESS_KEY"],
    ),
    (
        "WORKSPACES__SUPPORT__BEARER_TOKEN",
        SECRET,
        "workspaces.support.access_key_file",
        &[
            "one credential",
            "bearer_token (environment variable BIRDKEEP_WORKSPACES__SUPPORT__BEARER_TOKEN)",
        ],
    ),
    ("WORKSPACES__SUPPORT", SECRET, "workspaces.support", &["section"]),
    ("ARCHIVE", "/x", "archive", &["section"]),
    ("PORT", "8460", "port", &["not a known key"]),
    ("A__B__C__D", "x", "a.b.c.d", &["not a known key"]),
    ("ARCHIVE____DIR", "x", "archive..dir", &["not a known key"]),
    ("A[99999999999]", "x", "a[99999999999]", &["not a known key"]),
];
