-- The tables that the walking skeleton needs. Money and quantities are numeric(18,4), times timestamptz; tenant_id leads
-- every primary key of a tenant's table; row level security is on from the first table.

create schema if not exists pos_integration;  -- it may stand already: the version table is in it
create schema fluxion;

-- What no reader can use is refused at the door and quarantined as a row: NaN is a numeric, and years beyond 1 to 9999
-- are timestamps that drivers cannot hand out.
create domain fluxion.amount as numeric(18,4) check (value <> 'NaN');
create domain fluxion.moment as timestamptz check (value >= '0002-01-01 UTC' and value < '9999-01-01 UTC');
create domain fluxion.day as date check (value >= '0002-01-01' and value < '9999-01-01');

-- Registry -----------------------------------------------------------------------------------------------------------

create table fluxion.tenants (
  tenant_id uuid primary key,
  name text not null,
  created_at timestamptz not null default now()
);

create table pos_integration.pos_systems (
  tenant_id uuid not null references fluxion.tenants,
  id uuid not null unique,
  system_type varchar(50) not null,
  system_name varchar(200) not null,
  connection_config jsonb not null,          -- never a password for a system that an agent captures
  field_mappings jsonb not null,             -- the resolved template
  sync_settings jsonb not null default '{}',
  is_active boolean not null default true,
  last_sync_at timestamptz,
  epoch integer not null default 0 check (epoch between 0 and 65535),
  mapping_revision integer not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (tenant_id, id)
);

create table fluxion.stores (
  tenant_id uuid not null,
  id uuid not null unique,
  pos_system_id uuid not null,
  external_id text,                          -- the value of the template's store column; null where there is none
  name text not null,
  time_zone text not null default 'America/Caracas',
  cutoff time not null default '00:00',      -- a sale before it belongs to the business day before
  created_at timestamptz not null default now(),
  primary key (tenant_id, id),
  foreign key (tenant_id, pos_system_id) references pos_integration.pos_systems,
  unique (pos_system_id, external_id)
);

create table pos_integration.agents (
  tenant_id uuid not null,
  journal_id uuid not null,
  pos_system_id uuid not null,
  epoch integer not null check (epoch between 1 and 65535),
  enrolled_at timestamptz not null default now(),
  primary key (tenant_id, journal_id),
  foreign key (tenant_id, pos_system_id) references pos_integration.pos_systems,
  unique (pos_system_id, epoch)
);

-- What the sink writes -----------------------------------------------------------------------------------------------
-- No foreign keys between entities that arrive apart. deleted_at: a tombstone; a newer upsert revives the row.

create table fluxion.categories (
  tenant_id uuid not null,
  id uuid not null,
  pos_system_id uuid not null,
  external_table text not null,
  external_id text not null,
  name text,
  version bigint not null,
  mapping_revision integer not null,
  deleted_at timestamptz,
  updated_at timestamptz not null default now(),
  primary key (tenant_id, id)
);

create table fluxion.products (
  tenant_id uuid not null,
  id uuid not null,
  pos_system_id uuid not null,
  external_table text not null,
  external_id text not null,
  sku text,
  name text,
  barcode text,
  category_id uuid,
  cost_price fluxion.amount,
  selling_price fluxion.amount,
  tax_rate fluxion.amount,
  is_active boolean,
  last_sale_at fluxion.moment,
  warnings text[] not null default '{}',
  version bigint not null,
  mapping_revision integer not null,
  deleted_at timestamptz,
  updated_at timestamptz not null default now(),
  primary key (tenant_id, id)
);
create index products_by_sku on fluxion.products (tenant_id, pos_system_id, sku) where deleted_at is null;

create table fluxion.stock_levels (
  tenant_id uuid not null,
  id uuid not null,
  pos_system_id uuid not null,
  external_table text not null,
  external_id text not null,
  store_id uuid,
  product_id uuid,
  quantity fluxion.amount,
  version bigint not null,
  mapping_revision integer not null,
  deleted_at timestamptz,
  updated_at timestamptz not null default now(),
  primary key (tenant_id, id)
);

create table fluxion.sales (
  tenant_id uuid not null,
  id uuid not null,
  pos_system_id uuid not null,
  external_table text,
  external_id text,
  store_id uuid,
  has_header boolean not null default false, -- false: a tombstone of a sale that was never seen
  number text,
  doc_type text,
  status text,
  register_id text,
  sold_at fluxion.moment,
  sold_at_precision text,
  business_date fluxion.day,
  currency text,
  subtotal fluxion.amount,
  tax_total fluxion.amount,
  total fluxion.amount,
  prices_include_tax boolean,
  warnings text[] not null default '{}',
  version bigint not null,                   -- the header's own; lines have theirs
  mapping_revision integer not null,
  closed boolean not null default false,
  expected_lines integer,
  is_snapshot boolean not null default false,
  purged_at timestamptz,                     -- the POS archived it; kept, and no event
  -- how it is announced
  partition integer not null,                -- of fluxion.records.v1; whose sink sweeps it
  settle_at timestamptz,                     -- when the sweep looks at it; null: open, or announced, or waiting for a snapshot's end
  announced_version bigint,
  announced_hash bytea,
  announced_at timestamptz,
  updated_at timestamptz not null default now(),
  primary key (tenant_id, id)
);
create index sales_to_settle on fluxion.sales (partition, settle_at) where settle_at is not null;
create index sales_of_snapshot on fluxion.sales (pos_system_id) where is_snapshot and announced_version is null;

create table fluxion.sale_items (
  tenant_id uuid not null,
  id uuid not null,
  sale_id uuid not null,
  pos_system_id uuid not null,
  external_table text not null,
  external_id text not null,
  line_no text,
  sku text,
  product_id uuid,                           -- by the POS's own key, or by the SKU (the sweep)
  quantity fluxion.amount,
  unit_price fluxion.amount,
  line_total fluxion.amount,
  tax_rate fluxion.amount,
  version bigint not null,
  mapping_revision integer not null,
  purged_at timestamptz,
  updated_at timestamptz not null default now(),
  primary key (tenant_id, id)
);
create index sale_items_by_sale on fluxion.sale_items (tenant_id, sale_id);
create index sale_items_unlinked on fluxion.sale_items (tenant_id, pos_system_id, sku) where product_id is null;

-- The sink's own -----------------------------------------------------------------------------------------------------

create table pos_integration.stream_offsets (
  topic text not null,
  topic_id text not null,
  partition integer not null,
  next bigint not null,
  primary key (topic_id, partition)
);

create table pos_integration.outbox (
  tenant_id uuid not null,
  id bigint generated always as identity,
  topic text not null,
  key text not null,
  event_id uuid not null,
  event_type text not null,
  subject uuid not null,                     -- the sale
  occurred_at timestamptz not null,
  data jsonb not null,                       -- the event as schemas.events.SaleEvent
  created_at timestamptz not null default clock_timestamp(),
  published_at timestamptz,
  primary key (tenant_id, id)
);
create index outbox_unpublished on pos_integration.outbox (id) where published_at is null;

create table pos_integration.quarantine (
  tenant_id uuid not null,                   -- all zeros: a record that names no system that we know; nobody's
  id bigint generated always as identity,
  pos_system_id uuid not null,
  topic text not null,
  partition integer not null,
  "offset" bigint not null,
  external_table text,
  external_id text,
  version bigint,
  mapping_revision integer not null,
  code text not null,
  error_class text not null,
  message text not null,
  raw bytea not null,                        -- the row as JSON {column: value}, or the whole record's bytes
  created_at timestamptz not null default now(),
  primary key (tenant_id, id)
);
-- The same row in the same record is the same fault, however often the record is read.
create unique index quarantine_once on pos_integration.quarantine
  (tenant_id, topic, partition, "offset", coalesce(external_table, ''), coalesce(external_id, ''), coalesce(version, -1));

-- Rights and row policies --------------------------------------------------------------------------------------------
-- fluxion_app: people and partners; sees the tenant that `fluxion.tenant_id` names, set per transaction.
-- fluxion_stage: agents and processors; reads the registry of all tenants, registers journals.
-- fluxion_sink: sink and relay; writes what the records say, for all tenants; tenant and store come from the registry.

-- Roles belong to the cluster, not to the database: another database's migration may be making them right now.
do $$
declare wanted text;
begin
  foreach wanted in array array['fluxion_app', 'fluxion_stage', 'fluxion_sink'] loop
    if not exists (select from pg_roles where rolname = wanted) then
      begin
        execute format('create role %I nologin', wanted);
      exception when duplicate_object or unique_violation then null;
      end;
    end if;
    if not pg_has_role(current_user, wanted, 'member') then
      execute format('grant %I to %I', wanted, current_user);
    end if;
  end loop;
end $$;
grant usage on schema fluxion, pos_integration to fluxion_app, fluxion_stage, fluxion_sink;

do $$
declare tenant_table text;
begin
  foreach tenant_table in array array[
    'fluxion.tenants', 'fluxion.stores', 'fluxion.categories', 'fluxion.products', 'fluxion.stock_levels',
    'fluxion.sales', 'fluxion.sale_items', 'pos_integration.pos_systems', 'pos_integration.agents',
    'pos_integration.outbox', 'pos_integration.quarantine'
  ] loop
    execute format('alter table %s enable row level security', tenant_table);
    execute format('alter table %s force row level security', tenant_table);
    execute format('create policy of_tenant on %s to fluxion_app using (tenant_id = nullif(current_setting(''fluxion.tenant_id'', true), '''')::uuid)', tenant_table);
    execute format('grant select on %s to fluxion_app', tenant_table);
  end loop;
  foreach tenant_table in array array['fluxion.tenants', 'fluxion.stores', 'pos_integration.pos_systems', 'pos_integration.agents'] loop
    execute format('create policy of_stage on %s for select to fluxion_stage, fluxion_sink using (true)', tenant_table);
    execute format('grant select on %s to fluxion_stage, fluxion_sink', tenant_table);
  end loop;
  foreach tenant_table in array array[
    'fluxion.categories', 'fluxion.products', 'fluxion.stock_levels', 'fluxion.sales', 'fluxion.sale_items',
    'pos_integration.outbox', 'pos_integration.quarantine'
  ] loop
    execute format('create policy of_sink on %s to fluxion_sink using (true) with check (true)', tenant_table);
    execute format('grant select, insert, update on %s to fluxion_sink', tenant_table);
  end loop;
end $$;

grant insert, update on fluxion.tenants, fluxion.stores, pos_integration.pos_systems to fluxion_app;
grant select, insert, update on pos_integration.stream_offsets to fluxion_sink;

create policy registers on pos_integration.agents for insert to fluxion_stage with check (true);
grant insert on pos_integration.agents to fluxion_stage;
create policy raises_epoch on pos_integration.pos_systems for update to fluxion_stage using (true);
grant update (epoch, updated_at) on pos_integration.pos_systems to fluxion_stage;
create policy notes_sync on pos_integration.pos_systems for update to fluxion_sink using (true);
grant update (last_sync_at) on pos_integration.pos_systems to fluxion_sink;
