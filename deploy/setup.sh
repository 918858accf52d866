#!/usr/bin/env bash
# What `make setup` does, in three steps that cost nothing when they are done already. Usage: setup.sh venv|system|python|jars
#   venv    print the path of this checkout's virtual environment
#   system  Debian packages: the databases, Maven, and the ODBC driver for SQL Server
#   python  the virtual environment with everything that requirements.lock names, and the `fluxion` command of this checkout
#   jars    Kafka and the schema registry, by Maven
# Nothing is written into the checkout: all of it goes to $FLUXION_CACHE, else $XDG_CACHE_HOME/fluxion, else ~/.cache/fluxion.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
cache=${FLUXION_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/fluxion}
python=${PYTHON:-python3}

fail() {
  echo "setup: $1" >&2
  exit 1
}

hash_of() { sha256sum | cut -c 1-12; }

# Another lock, another checkout or another Python is another environment, so that none is ever half right.
venv_path() {
  local version
  version=$("$python" -c 'import sys; print(sys.version, sys.base_prefix)' 2>/dev/null) || fail "$python is not there; run make setup"
  echo "$cache/venv-$({ echo "$root $version"; cat "$root/requirements.lock"; } | hash_of)"
}

has() { PATH="$PATH:/usr/sbin:/sbin" command -v "$1" >/dev/null; }

missing_packages() {
  has mariadbd && has mariadb-install-db || echo mariadb-server
  compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || has initdb || echo postgresql
  has mvn || echo maven
  # The agent's way into SQL Server: pyodbc needs the driver manager, and a driver. Debian's package says so in odbcinst.ini;
  # elsewhere the driver has to be registered there.
  compgen -G '/usr/lib/*/libodbc.so.2' >/dev/null || compgen -G '/usr/lib*/libodbc.so.2' >/dev/null || echo unixodbc
  compgen -G '/usr/lib/*/odbc/libtdsodbc.so' >/dev/null || grep -qs '^\[FreeTDS\]' /etc/odbcinst.ini || echo tdsodbc
}

install_packages() {
  local packages=("$@") as_root=()
  [ ${#packages[@]} -gt 0 ] || return 0
  echo "setup: Debian packages ${packages[*]} (a minute, once)" >&2
  has apt-get || fail "install ${packages[*]} (or what they are called here), then run it again"
  if [ "$(id -u)" -ne 0 ]; then
    has sudo || fail "run as root: apt-get install ${packages[*]}"
    as_root=(sudo)
  fi
  local options=(-qq -o DPkg::Lock::Timeout=300)
  "${as_root[@]}" apt-get update "${options[@]}"
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y "${options[@]}" --no-install-recommends "${packages[@]}" >/dev/null
}

install_system() {
  local packages
  mapfile -t packages < <(missing_packages)
  install_packages "${packages[@]}"
}

install_python() {
  has "$python" || install_packages python3 python3-venv
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "Python 3.11 or newer is needed: PYTHON=python3.11 make setup"
  "$python" -c 'import ensurepip, venv' 2>/dev/null || install_packages python3-venv
  local venv stamp
  venv=$(venv_path)
  mkdir -p "$cache"
  exec 9>"$venv.lock"
  flock 9 # two at once: the second waits, and finds it done
  if [ ! -e "$venv/.complete" ]; then
    echo "setup: Python packages (a minute, once)" >&2
    rm -rf "$venv"
    "$python" -m venv "$venv"
    "$venv/bin/pip" install -q --disable-pip-version-check --no-deps --require-hashes -r "$root/requirements.lock"
    touch "$venv/.complete"
  fi
  stamp="$venv/.installed-$(hash_of <"$root/pyproject.toml")"
  if [ ! -e "$stamp" ]; then
    "$venv/bin/pip" install -q --disable-pip-version-check --no-deps --no-build-isolation --no-index -e "$root"
    rm -f "$venv"/.installed-*
    touch "$stamp"
  fi
}

case "${1:-}" in
  venv) venv_path ;;
  system) install_system ;;
  python) install_python ;;
  jars) FLUXION_CACHE=$cache "$(venv_path)/bin/fluxion" stack fetch ;;
  *) fail "which step? venv, system, python or jars" ;;
esac
