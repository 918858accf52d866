#!/bin/sh
# Databases and logins, made once by PostgreSQL's image when its data folder is new. The owner migrates; every process has a login that
# is a member of its one role (docs/adr/0002): a sink's password opens nothing that a sink does not need.
set -eu
psql -v ON_ERROR_STOP=1 -X -q -U "${POSTGRES_USER:-postgres}" -d postgres \
  -v owner="$OWNER_PASSWORD" -v processor="$PROCESSOR_PASSWORD" -v sink="$SINK_PASSWORD" \
  -v relay="$RELAY_PASSWORD" -v agent="$AGENT_PASSWORD" -v registry="$REGISTRY_PASSWORD" <<'SQL'
create role fluxion_app nologin;
create role fluxion_stage nologin;
create role fluxion_sink nologin;
create role fluxion_owner login noinherit createrole password :'owner';
grant fluxion_app, fluxion_stage, fluxion_sink to fluxion_owner with admin option;
create role fluxion_processor login noinherit password :'processor' in role fluxion_stage;
create role fluxion_agent login noinherit password :'agent' in role fluxion_stage;
create role fluxion_writer login noinherit password :'sink' in role fluxion_sink;
create role fluxion_relay login noinherit password :'relay' in role fluxion_sink;
create role registry login password :'registry';
create database fluxion owner fluxion_owner;
create database registry owner registry;
revoke connect on database fluxion, registry from public;
grant connect on database fluxion to fluxion_processor, fluxion_agent, fluxion_writer, fluxion_relay;
SQL
