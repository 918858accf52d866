"""What kind of SQL Server is emulated: edition, version, local time."""

from dataclasses import dataclass

SERVER_NAME = "STANDIN"
COLLATION_NAME = "SQL_Latin1_General_CP1_CI_AS"
EDITIONS = {
    "express": ("Express Edition (64-bit)", 4),
    "standard": ("Standard Edition (64-bit)", 2),
    "enterprise": ("Enterprise Edition (64-bit)", 3),
}


@dataclass(frozen=True)
class Instance:
    """What SERVERPROPERTY says, and the zone of GETDATE()."""

    edition: str
    product_version: str
    timezone: str

    @property
    def version(self) -> tuple[int, int, int]:
        """Major, minor and build, as they travel on the wire."""
        major, minor, build = (int(part) for part in self.product_version.split(".")[:3])
        return major, minor, build

    def server_property(self, name: str) -> str | int | None:
        """Return what SERVERPROPERTY(name) says; None where SQL Server says NULL or the stand-in does not know."""
        edition, engine = EDITIONS[self.edition]
        known: dict[str, str | int] = {
            "edition": edition,
            "engineedition": engine,
            "productversion": self.product_version,
            "productmajorversion": self.version[0],
            "productlevel": "RTM",
            "servername": SERVER_NAME,
            "machinename": SERVER_NAME,
            "collation": COLLATION_NAME,
            "ishadrenabled": 0,
            "isclustered": 0,
            "isintegratedsecurityonly": 0,
        }
        return known.get(name)
