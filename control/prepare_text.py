"""What a prepared script says to the administrator who reviews it, Spanish first, English by a switch."""

from control.status_text import Language

TEXTS: dict[str, tuple[str, str]] = {
    # SQL Server
    "heading": (
        (
            "Fluxion POS CDC: prepara la base {database} para capturar «{name}» ({method}).\n"
            "Repetirlo no cambia nada. Deshacerlo: fluxion system prepare --undo {id}\n"
            "Quién lo ejecuta: {admin}. Se detiene en el primer error; si una caja ocupa una tabla, cede: repítalo luego."
        ),
        (
            'Fluxion POS CDC: prepares the database {database} for the capture of "{name}" ({method}).\n'
            "Repeating it changes nothing. The way back: fluxion system prepare --undo {id}\n"
            "Who runs it: {admin}. It ends at the first error, and gives way to a register that holds a table: repeat it later."
        ),
    ),
    "undo_heading": (
        "Fluxion POS CDC: deshace en la base {database} lo que se preparó para «{name}» ({method}). Detenga antes el agente.",
        'Fluxion POS CDC: undoes in the database {database} what was prepared for "{name}" ({method}). Stop the agent first.',
    ),
    "undo_shared": (
        "Lo que está en comentario afecta a otros: revíselo (--everything lo incluye).",
        "What is commented out concerns others too: review it (--everything includes it).",
    ),
    "snapshot": (
        "Lecturas sin bloqueo: el agente nunca detiene una caja. Espera a que terminen las transacciones abiertas.",
        "Reads without locks: the agent never stops a register. It waits until open transactions have ended.",
    ),
    "tracking": (
        "Change Tracking en la base: anota qué claves cambiaron, durante 7 días (lo que el agente puede estar apagado).",
        "Change Tracking for the database: notes which keys changed, for 7 days (as long as the agent may be off).",
    ),
    "retention": (
        "Si ya estaba activo con menos de 7 días, se amplía.",
        "Where it was on with less than 7 days, they become 7.",
    ),
    "tables": (
        "En cada tabla de la plantilla (exige clave primaria).",
        "For each table of the template (it needs a primary key).",
    ),
    "login": (
        "El agente entra con este login, sin ningún rol. Ponga su contraseña; si el login ya existe, conserva la suya.",
        "The agent enters by this login, which has no role. Put its password; where the login exists, it keeps its own.",
    ),
    "orphan": (
        "Si el usuario vino con un respaldo de otro servidor, se vuelve a unir a su login.",
        "Where the user came with a backup of another server, it is joined to its login again.",
    ),
    "grants": (
        "Solo leer, y solo las tablas de la plantilla.",
        "Reading only, and only the template's tables.",
    ),
    "cdc": (
        (
            "Change Data Capture en la base (exige sysadmin). Express no tiene CDC: use --method change_tracking.\n"
            "Captura solo mientras funcione el Agente SQL Server, y guarda 3 días; para 7, después de este script:\n"
            "  EXEC sys.sp_cdc_change_job @job_type = N'cleanup', @retention = 10080"
        ),
        (
            "Change Data Capture for the database (needs sysadmin). Express has no CDC: use --method change_tracking.\n"
            "It captures only while SQL Server Agent runs, and keeps 3 days; for 7, after this script:\n"
            "  EXEC sys.sp_cdc_change_job @job_type = N'cleanup', @retention = 10080"
        ),
    ),
    "cdc_tables": (
        "En cada tabla de la plantilla; sus cambios los lee quien tenga el rol {role}, que aquí se crea.",
        "For each table of the template; who has the role {role}, which is created here, reads its changes.",
    ),
    "versions": (
        (
            "Una tabla sin columna rowversion la necesita; así se añade. Va en comentario porque reescribe la tabla (con la tienda\n"
            "cerrada), y un INSERT del punto de venta sin lista de columnas dejaría de funcionar: pregunte antes a su proveedor."
        ),
        (
            "A table without a column of type rowversion needs one; this adds it. Commented out, for it rewrites the table (when\n"
            "the shop is closed), and an INSERT of the point of sale without a list of columns would fail: ask its vendor first."
        ),
    ),
    "undo_versions": (
        "AVISO: quita de las tablas del punto de venta las columnas que se añadieron para la captura.",
        "WARNING: this takes from the point of sale's tables the columns that were added for the capture.",
    ),
    "undo_grants": ("El agente deja de leer.", "The agent may no longer read."),
    "undo_user": (
        "El usuario se borra si nadie le concedió otra cosa.",
        "The user is dropped unless somebody has granted it more.",
    ),
    "undo_tables": (
        "AVISO: quien más use Change Tracking en estas tablas lo pierde.",
        "WARNING: whoever else uses Change Tracking on these tables loses it.",
    ),
    "undo_cdc_tables": (
        "Solo las capturas que hizo este producto; las de otros quedan.",
        "Only the captures that this product made; those of others stay.",
    ),
    "undo_database": (
        "AVISO: afecta a toda la base. Otros programas que usen {method} o lecturas SNAPSHOT los perderían.",
        "WARNING: this concerns the whole database. Other programs that use {method} or SNAPSHOT reads would lose them.",
    ),
    "undo_login": (
        "AVISO: afecta a todo el servidor. Otras bases pueden usar el mismo login.",
        "WARNING: this concerns the whole server. Other databases may use the same login.",
    ),
    # MariaDB
    "mysql_heading": (
        (
            "Fluxion POS CDC: prepara MariaDB para capturar la base {database} de «{name}».\n"
            "Repetirlo no cambia nada. Deshacerlo: fluxion system prepare --undo {id}\n"
            "\n"
            "Antes, en my.cnf, y reiniciar (fluxion agent check lo comprueba):\n"
            "  [mariadbd]\n"
            "  log_bin             = mysql-bin\n"
            "  binlog_format       = ROW\n"
            "  binlog_row_image    = FULL\n"
            "  binlog_row_metadata = FULL\n"
            "  expire_logs_days    = 7          # lo que el agente puede estar apagado"
        ),
        (
            'Fluxion POS CDC: prepares MariaDB for the capture of the database {database} of "{name}".\n'
            "Repeating it changes nothing. The way back: fluxion system prepare --undo {id}\n"
            "\n"
            "First, in my.cnf, and restart it (fluxion agent check tells):\n"
            "  [mariadbd]\n"
            "  log_bin             = mysql-bin\n"
            "  binlog_format       = ROW\n"
            "  binlog_row_image    = FULL\n"
            "  binlog_row_metadata = FULL\n"
            "  expire_logs_days    = 7          # as long as the agent may be off"
        ),
    ),
    "mysql_undo_heading": (
        (
            "Fluxion POS CDC: deshace en MariaDB lo que se preparó para «{name}». Detenga antes el agente.\n"
            "Lo de my.cnf queda: otras réplicas y los respaldos pueden usar el mismo registro binario."
        ),
        (
            'Fluxion POS CDC: undoes in MariaDB what was prepared for "{name}". Stop the agent first.\n'
            "my.cnf stays: other replicas and backups may use the same binary log."
        ),
    ),
    "mysql_user": (
        "El agente entra con esta cuenta. Ponga su contraseña; si ya existe, conserva la suya.",
        "The agent enters by this account. Put its password; where it exists, it keeps its own.",
    ),
    "mysql_log": (
        "Leer el registro binario; MariaDB solo lo concede para todo el servidor.",
        "Reading the binary log; MariaDB grants it for the whole server only.",
    ),
    "mysql_undo_grants": (
        "El agente deja de leer. (La segunda vez dirá que no hay tal permiso.)",
        "The agent may no longer read. (The second time it says that there is no such grant.)",
    ),
    "mysql_undo_user": (
        "AVISO: otras bases pueden usar la misma cuenta (--everything lo incluye).",
        "WARNING: other databases may use the same account (--everything includes it).",
    ),
    # While it is applied
    "ask": (
        "¿Ejecutar estas {count} sentencias en {place} como {admin}?",
        "Run these {count} statements on {place} as {admin}?",
    ),
    "password": ("Contraseña de {admin}", "Password of {admin}"),
    "done": ("hecho", "done"),
    "nothing": ("nada que hacer", "nothing to do"),
    "failed": ("FALLÓ", "FAILED"),
    "ended": (
        "{done} de {count} sentencias cambiaron algo. Compruébelo: fluxion system check {id}",
        "{done} of {count} statements changed something. See for yourself: fluxion system check {id}",
    ),
    "undone": (
        "{done} de {count} sentencias cambiaron algo. El agente ya no puede capturar esta base.",
        "{done} of {count} statements changed something. An agent can no longer capture this database.",
    ),
    "method": (
        'El agente captura por otro método mientras no se le diga este: en agent.toml, [source.options], method = "{method}"',
        'The agent captures by another method until it is told this one: in agent.toml, [source.options], method = "{method}"',
    ),
}


def say(language: Language, name: str, /, **values: object) -> str:
    """Return a text in the language, filled in."""
    return TEXTS[name][0 if language is Language.SPANISH else 1].format(**values)
