-- The quickstart's table: Debian's package index, one row a package.
--
-- Fields that are not here (a foreign package source may bring its own) are added as String columns.
-- The deduplication window makes ClickHouse drop a block that is sent twice with the same token.
CREATE TABLE packages
(
    package String,
    version String,
    architecture LowCardinality(String),
    section LowCardinality(String),
    priority LowCardinality(String),
    size UInt64 COMMENT 'of the archive, in bytes',
    installed_size UInt64 COMMENT 'in KiB',
    maintainer LowCardinality(String),
    original_maintainer LowCardinality(String),
    source String,
    description String,
    description_md5 String,
    homepage String,
    tag String,
    filename String,
    md5sum String,
    sha256 String,
    multi_arch LowCardinality(String),
    essential LowCardinality(String),
    build_essential LowCardinality(String),
    important LowCardinality(String),
    protected LowCardinality(String),
    depends String,
    pre_depends String,
    recommends String,
    suggests String,
    enhances String,
    provides String,
    conflicts String,
    breaks String,
    replaces String,
    built_using String,
    static_built_using String
)
ENGINE = MergeTree
ORDER BY (section, package, version)
SETTINGS non_replicated_deduplication_window = 1000
