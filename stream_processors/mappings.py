"""Every system's chain at its present mapping revision, kept fresh from PostgreSQL by a thread of its own.

PostgreSQL that is down changes nothing: the last known mappings stay. Only the first load waits for it.
"""

import threading
from collections.abc import Callable

from fluxion.clock import Clock
from fluxion.errors import DependencyDownError, FluxionError, MappingError
from fluxion.log import get_logger
from fluxion.postgres import STAGE, connect
from fluxion.progress import SaidBefore
from fluxion.registry import Link, System, load_revisions, load_systems
from stream_processors.pipeline import Chain
from stream_processors.steps.map import Mapping

POLL_S = 2.0

# Mapping revision, and the chain or why there is none.
Found = tuple[int, Chain | MappingError]


class Mappings:
    """System id → chain, or the MappingError of a template that does not compile."""

    def __init__(self, dsn: str, chain: Callable[[Mapping], Chain], clock: Clock) -> None:
        self._dsn = dsn
        self._chain = chain
        self._clock = clock
        self._link: Link | None = None
        self._lock = threading.Lock()
        self._known: dict[str, Found] = {}
        self._down = False
        self._said = SaidBefore(clock)

    @property
    def down(self) -> bool:
        """Whether PostgreSQL did not answer when it was last asked."""
        return self._down

    def find(self, system_id: str) -> Found | None:
        """Return mapping revision and chain; None for a system that was unknown at the last look."""
        return self._known.get(system_id)

    def load(self, waiting: Callable[[str, str], None]) -> None:
        """Load for the first time. Waits for PostgreSQL and tells `waiting` so; raises what waiting cannot mend."""
        while True:
            try:
                self.refresh()
            except DependencyDownError as fault:
                self._down = True
                waiting("PostgreSQL", fault.message)
                self._clock.sleep(1.0)
            else:
                return

    def refresh(self) -> None:
        """Look now; from any thread. Raises FluxionError, and then knows what it knew before."""
        with self._lock:
            try:
                if self._link is None or self._link.closed:
                    self._link = connect(self._dsn, STAGE)
                revisions = load_revisions(self._link)
                if revisions != {system_id: found[0] for system_id, found in self._known.items()}:
                    self._known = self._renewed(load_systems(self._link))
            except Exception:
                self._drop()
                raise
        if self._down:
            self._down = False
            get_logger().info("registry answers again")

    def failed(self, fault: Exception) -> None:
        """Note that a look failed, and say so at once, then every 10 s."""
        self._down = True
        if self._said.due("unreadable"):
            reason = fault.message if isinstance(fault, FluxionError) else repr(fault)
            get_logger().warning("registry cannot be read, the last known mappings stay", reason=reason)

    def start(self) -> None:
        """Poll from a thread until the process ends."""
        threading.Thread(target=self._poll, name="mappings", daemon=True).start()

    def _poll(self) -> None:
        while True:
            self._clock.sleep(POLL_S)
            try:
                self.refresh()
            except Exception as fault:  # noqa: BLE001 -- whatever it is, the thread must look again
                self.failed(fault)

    def _renewed(self, systems: dict[str, System]) -> dict[str, Found]:
        fresh: dict[str, Found] = {}
        for system_id, system in systems.items():
            old = self._known.get(system_id)
            fresh[system_id] = old if old and old[0] == system.mapping_revision else self._made(system)
        return fresh

    def _made(self, system: System) -> Found:
        try:
            return system.mapping_revision, self._chain(Mapping(system))
        except Exception as fault:  # noqa: BLE001 -- one system's mapping must not hold up the others
            known = (
                fault if isinstance(fault, MappingError) else MappingError(f"the mapping does not compile ({fault})")
            )
            get_logger().error("mapping refused", system=system.id, revision=system.mapping_revision, reason=str(known))
            return system.mapping_revision, known

    def _drop(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.close()
