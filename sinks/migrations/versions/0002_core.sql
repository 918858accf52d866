-- The schema in full, on top of 0001: suppliers, stock movements, taxes and payments of a sale, and what jobs, conflicts,
-- alerts, sessions, commands, users and confirmed deletes are kept in. The names of sync_jobs, mapping_cache and
-- sync_conflicts are the specification's; tenant_id and a few columns stand beside them.

-- A rate of exchange is no money: BCV publishes eight decimals, and bolívares per dollar turned round need ten.
create domain fluxion.rate as numeric(24,10) check (value <> 'NaN');

-- What the sink writes -----------------------------------------------------------------------------------------------

alter table fluxion.stores add column open_hours jsonb;  -- {"mon": [["08:00", "20:00"]], …}; null: not known

alter table fluxion.categories add column parent_id uuid;
alter table fluxion.products add column supplier_id uuid;

create table fluxion.suppliers (
  tenant_id uuid not null,
  id uuid not null,
  pos_system_id uuid not null,
  external_table text not null,
  external_id text not null,
  name text,
  tax_id text,                               -- the RIF as written there
  version bigint not null,
  mapping_revision integer not null,
  deleted_at timestamptz,
  updated_at timestamptz not null default now(),
  primary key (tenant_id, id)
);

create table fluxion.stock_movements (
  tenant_id uuid not null,
  id uuid not null,
  pos_system_id uuid not null,
  external_table text not null,
  external_id text not null,
  store_id uuid,
  product_id uuid,                           -- by the POS's own key, or by the SKU (the sweep)
  sku text,
  kind text,                                 -- the POS's own word
  quantity fluxion.amount,                   -- signed: what comes in is positive
  reference text,
  occurred_at fluxion.moment,
  version bigint not null,
  mapping_revision integer not null,
  deleted_at timestamptz,
  updated_at timestamptz not null default now(),
  primary key (tenant_id, id)
);
create index stock_movements_by_level on fluxion.stock_movements (tenant_id, store_id, product_id);
create index stock_movements_unlinked on fluxion.stock_movements (tenant_id, pos_system_id, sku) where product_id is null;

alter table fluxion.sales
  add column control_number text,
  add column shift_id text,
  add column cashier_id text,
  add column exchange_rate fluxion.rate,     -- as recorded, never recomputed
  add column discount_total fluxion.amount,
  add column exempt_total fluxion.amount,
  add column igtf_total fluxion.amount,      -- belongs to the payment, no part of tax_total
  add column rounding fluxion.amount,
  add column original_sale_id uuid,          -- of a return, where the POS names its invoice by key
  add column original_number text,           -- … and as printed
  add column customer_name text,
  add column customer_tax_id text,
  add column fiscal_printer text,
  add column fiscal_number text,
  add column fiscal_z text,
  add column voided_at fluxion.moment,
  add column deleted_at timestamptz,         -- gone, by a template that says `deleted: delete`; purged_at: archived, kept
  add column announced_revision integer,     -- the mapping's, of what was announced
  add column announced_as text;

-- A word that was never in the list says nothing; the rows are hidden from the owner while row level security is forced.
alter table fluxion.sales no force row level security;
alter table pos_integration.outbox no force row level security;
update fluxion.sales set doc_type = null where doc_type not in ('invoice', 'credit_note', 'debit_note', 'delivery_note');
update fluxion.sales set status = null where status not in ('partial', 'completed', 'voided');
update fluxion.sales set sold_at_precision = null where sold_at_precision not in ('date', 'minute', 'second');
update fluxion.sales s set announced_revision = s.mapping_revision, announced_as = case
    when not exists (select from pos_integration.outbox o where o.tenant_id = s.tenant_id and o.subject = s.id) then 'silent'
    when s.status = 'voided' then 'voided' else 'standing' end
  where s.announced_version is not null;
alter table fluxion.sales force row level security;
alter table pos_integration.outbox force row level security;

alter table fluxion.sales
  add constraint sales_doc_type check (doc_type in ('invoice', 'credit_note', 'debit_note', 'delivery_note')),
  add constraint sales_status check (status in ('partial', 'completed', 'voided')),
  add constraint sales_sold_at_precision check (sold_at_precision in ('date', 'minute', 'second')),
  -- silent: remembered as announced, nothing was sent; standing, voided: as which the last event showed it.
  add constraint sales_announced_as check (announced_as in ('silent', 'standing', 'voided')),
  add constraint sales_announced check ((announced_version is null) = (announced_as is null));
create index sales_by_number on fluxion.sales (tenant_id, store_id, number);  -- a return finds its invoice

alter table fluxion.sale_items
  add column scanned_code text,              -- what the scanner read; it may hold a weight or a price
  add column name text,
  add column unit text,
  add column list_price fluxion.amount,
  add column discount fluxion.amount,
  add column tax_category text check (tax_category in ('general', 'reduced', 'luxury', 'exempt', 'not_subject')),
  add column tax_amount fluxion.amount,
  add column unit_cost fluxion.amount,
  add column returned_quantity fluxion.amount,
  add column kit_parent text,                -- line_no of the kit that this line is a part of
  add column deleted_at timestamptz;         -- no line of its sale any more; purged_at: went, perhaps together with its sale

create table fluxion.sale_taxes (
  tenant_id uuid not null,
  id uuid not null,
  sale_id uuid not null,
  pos_system_id uuid not null,
  external_table text not null,
  external_id text not null,
  category text check (category in ('general', 'reduced', 'luxury', 'exempt', 'not_subject', 'igtf')),
  rate fluxion.amount,                       -- percent
  base fluxion.amount,
  amount fluxion.amount,
  version bigint not null,
  mapping_revision integer not null,
  purged_at timestamptz,
  deleted_at timestamptz,
  updated_at timestamptz not null default now(),
  primary key (tenant_id, id)
);
create index sale_taxes_by_sale on fluxion.sale_taxes (tenant_id, sale_id);

create table fluxion.sale_payments (
  tenant_id uuid not null,
  id uuid not null,
  sale_id uuid not null,
  pos_system_id uuid not null,
  external_table text not null,
  external_id text not null,
  method text,
  currency text,
  amount fluxion.amount,
  rate fluxion.rate,                         -- of exchange, as recorded
  amount_base fluxion.amount,                -- in the document's currency
  igtf fluxion.amount,
  reference text,
  version bigint not null,
  mapping_revision integer not null,
  purged_at timestamptz,
  deleted_at timestamptz,
  updated_at timestamptz not null default now(),
  primary key (tenant_id, id)
);
create index sale_payments_by_sale on fluxion.sale_payments (tenant_id, sale_id);

-- The sink's own -----------------------------------------------------------------------------------------------------

-- The ids of products, categories and suppliers, for people and partners; a merged duplicate points at the one that stays.
create table pos_integration.mapping_cache (
  tenant_id uuid not null,
  id uuid not null default gen_random_uuid(),
  pos_system_id uuid not null,
  external_id text not null,
  external_table text not null,
  fluxion_entity varchar(50) not null check (fluxion_entity in ('product', 'category', 'supplier')),
  fluxion_id uuid not null,
  canonical_id uuid,
  mapping_data jsonb not null default '{}',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (tenant_id, id),
  foreign key (tenant_id, pos_system_id) references pos_integration.pos_systems,
  unique (pos_system_id, external_id, external_table)
);

alter table fluxion.categories no force row level security;
alter table fluxion.products no force row level security;
insert into pos_integration.mapping_cache (tenant_id, id, pos_system_id, external_id, external_table, fluxion_entity, fluxion_id)
  select tenant_id, id, pos_system_id, external_id, external_table, 'category', id from fluxion.categories
  union all
  select tenant_id, id, pos_system_id, external_id, external_table, 'product', id from fluxion.products
  on conflict do nothing;
alter table fluxion.categories force row level security;
alter table fluxion.products force row level security;

-- What a snapshot's end would delete, where it is too much to believe: a person confirms, the sink does it.
create table pos_integration.pending_deletes (
  tenant_id uuid not null,
  id bigint generated always as identity,
  pos_system_id uuid not null,
  external_table text not null,
  first_version bigint not null,             -- rows of the table with a lower version are gone
  since timestamptz,                         -- the snapshot did not read sales older than this
  deletions jsonb not null,                  -- [{"entity": …, "kind": "delete" | "purge" | "void"}]
  row_count bigint not null,                 -- how many rows it would be …
  of_rows bigint not null,                   -- … of how many that live
  partition integer not null,                -- of fluxion.records.v1; whose sink does it
  created_at timestamptz not null default now(),
  confirmed_at timestamptz,
  confirmed_by text,
  done_at timestamptz,
  primary key (tenant_id, id),
  foreign key (tenant_id, pos_system_id) references pos_integration.pos_systems
);
create index pending_deletes_to_do on pos_integration.pending_deletes (partition)
  where confirmed_at is not null and done_at is null;
create unique index pending_deletes_unconfirmed on pos_integration.pending_deletes (tenant_id, pos_system_id, external_table)
  where confirmed_at is null;

alter table pos_integration.quarantine
  add column change text,                    -- the row as a ChangeSet of its own, to be mapped again after mending
  add column source_offset bigint,           -- of the raw record in pos.changes.v1
  add column resolved_at timestamptz,
  add column resolution text check (resolution in ('retried', 'discarded')),
  add column resolved_by text,
  add column notes text,
  add constraint quarantine_resolved check ((resolved_at is null) = (resolution is null));
create index quarantine_open on pos_integration.quarantine (tenant_id, pos_system_id, id) where resolved_at is null;

-- Shippers, jobs, conflicts, people ------------------------------------------------------------------------------------

-- The newest id of a system is its session; an older one is fenced.
create table pos_integration.sessions (
  tenant_id uuid not null,
  id bigint generated always as identity,
  pos_system_id uuid not null,
  journal_id uuid not null,
  host text,
  opened_at timestamptz not null default now(),
  acknowledged bigint not null default 0,    -- the journal's sequence, written after Kafka's acknowledgement
  seen_at timestamptz,
  fenced_at timestamptz,
  primary key (tenant_id, id),
  foreign key (tenant_id, pos_system_id) references pos_integration.pos_systems
);
create index sessions_of_system on pos_integration.sessions (pos_system_id, id desc);

create table pos_integration.sync_jobs (
  tenant_id uuid not null,
  id uuid not null default gen_random_uuid(),
  pos_system_id uuid not null,
  job_type varchar(50) not null check (job_type in ('full_sync', 'incremental', 'real_time')),
  status varchar(20) not null default 'pending' check (status in ('pending', 'running', 'completed', 'failed')),
  started_at timestamptz not null default now(),
  completed_at timestamptz,
  records_processed bigint not null default 0 check (records_processed >= 0),
  records_failed bigint not null default 0 check (records_failed >= 0),
  error_details jsonb,
  sync_summary jsonb,
  primary key (tenant_id, id),
  foreign key (tenant_id, pos_system_id) references pos_integration.pos_systems
);
create index sync_jobs_of_system on pos_integration.sync_jobs (tenant_id, pos_system_id, started_at desc);

create table pos_integration.sync_conflicts (
  tenant_id uuid not null,
  id uuid not null default gen_random_uuid(),
  pos_system_id uuid not null,
  entity_type varchar(50) not null,
  entity_id uuid not null,
  field text not null,
  conflict_type varchar(50) not null check (conflict_type in ('price_mismatch', 'quantity_diff', 'duplicate_sku')),
  pos_data jsonb not null,
  fluxion_data jsonb not null,
  pos_revision bigint,                       -- the row's version that was judged
  fluxion_revision bigint,                   -- the counter of edits that was judged
  resolution_strategy varchar(50) check (resolution_strategy in ('pos_wins', 'fluxion_wins', 'manual', 'average')),
  resolved_at timestamptz,
  resolved_by uuid,
  resolution_notes text,
  created_at timestamptz not null default now(),
  primary key (tenant_id, id),
  foreign key (tenant_id, pos_system_id) references pos_integration.pos_systems
);
create unique index sync_conflicts_open on pos_integration.sync_conflicts (tenant_id, entity_id, field)
  where resolved_at is null;

-- Where a user's edit and the POS meet: what was committed, for the judge.
create table pos_integration.contested (
  tenant_id uuid not null,
  id bigint generated always as identity,
  pos_system_id uuid not null,
  entity_type varchar(50) not null,
  entity_id uuid not null,
  field text not null,
  base text,
  pos text,
  fluxion text,
  pos_revision bigint not null,
  fluxion_revision bigint not null,
  created_at timestamptz not null default now(),
  judged_at timestamptz,
  primary key (tenant_id, id),
  foreign key (tenant_id, pos_system_id) references pos_integration.pos_systems
);

create table pos_integration.alerts (
  tenant_id uuid not null,
  id bigint generated always as identity,
  pos_system_id uuid,
  store_id uuid,
  kind text not null,
  severity text not null check (severity in ('info', 'warning', 'critical')),
  message text not null,
  mend text,
  detail jsonb,
  opened_at timestamptz not null default now(),
  last_seen_at timestamptz not null default now(),
  acknowledged_at timestamptz,
  acknowledged_by text,
  closed_at timestamptz,
  primary key (tenant_id, id),
  foreign key (tenant_id, pos_system_id) references pos_integration.pos_systems
);
create index alerts_open on pos_integration.alerts (tenant_id, opened_at) where closed_at is null;

-- The values of pos.status.v1 that are kept. at: by the producer's clock, received_at: by ours.
create table pos_integration.status_events (
  tenant_id uuid not null,
  id bigint generated always as identity,
  pos_system_id uuid not null,
  kind text not null,
  at timestamptz not null,
  received_at timestamptz not null default now(),
  journal_id uuid,
  epoch integer,
  job text,
  external_table text,
  rows bigint,
  total bigint,
  rate bigint,
  seconds_left bigint,
  code text,
  message text,
  mend text,
  detail jsonb,
  primary key (tenant_id, id),
  foreign key (tenant_id, pos_system_id) references pos_integration.pos_systems
);
create index status_events_of_system on pos_integration.status_events (tenant_id, pos_system_id, id desc);

-- Written after Kafka's acknowledgement, so that a sender's repeat is answered and not produced again.
create table pos_integration.webhook_receipts (
  tenant_id uuid not null,
  id bigint generated always as identity,
  pos_system_id uuid not null,
  delivery_id text not null,                 -- the sender's own
  event_type text not null,
  partition integer not null,
  "offset" bigint not null,
  received_at timestamptz not null default now(),
  primary key (tenant_id, id),
  foreign key (tenant_id, pos_system_id) references pos_integration.pos_systems,
  unique (pos_system_id, delivery_id)
);

create table pos_integration.commands (
  tenant_id uuid not null,
  id uuid not null default gen_random_uuid(),
  pos_system_id uuid not null,
  kind text not null check (kind in ('pause', 'resume', 'resnapshot', 'reread', 'write_back', 'check')),
  body jsonb not null default '{}',
  status text not null default 'pending' check (status in ('pending', 'done', 'failed', 'expired')),
  created_at timestamptz not null default now(),
  created_by text,
  expires_at timestamptz not null,
  done_at timestamptz,
  result jsonb,
  primary key (tenant_id, id),
  foreign key (tenant_id, pos_system_id) references pos_integration.pos_systems
);

create table pos_integration.users (
  tenant_id uuid not null references fluxion.tenants,
  id uuid not null default gen_random_uuid(),
  email text not null,
  name text not null,
  password_hash text not null,               -- argon2
  role text not null check (role in ('admin', 'operator', 'viewer')),
  is_active boolean not null default true,
  created_at timestamptz not null default now(),
  last_login_at timestamptz,
  primary key (tenant_id, id)
);
create unique index users_by_email on pos_integration.users (lower(email));

create table pos_integration.api_tokens (
  tenant_id uuid not null references fluxion.tenants,
  id uuid not null default gen_random_uuid(),
  name text not null,
  token_hash bytea not null unique,          -- the token itself is shown once and kept nowhere
  scopes text[] not null default '{}',
  pos_system_id uuid,                        -- a token of one system only
  created_at timestamptz not null default now(),
  created_by text,
  expires_at timestamptz,
  revoked_at timestamptz,
  last_used_at timestamptz,
  primary key (tenant_id, id),
  foreign key (tenant_id, pos_system_id) references pos_integration.pos_systems
);

create table pos_integration.audit_log (
  tenant_id uuid not null references fluxion.tenants,
  id bigint generated always as identity,
  at timestamptz not null default now(),
  actor text not null,
  action text not null,
  subject text,
  detail jsonb,
  primary key (tenant_id, id)
);

-- Rights and row policies --------------------------------------------------------------------------------------------
-- As in 0001: fluxion_app sees and writes the tenant that `fluxion.tenant_id` names; fluxion_stage and fluxion_sink work for
-- all tenants, each on the tables of its own work.

do $$
declare tenant_table text;
begin
  foreach tenant_table in array array[
    'fluxion.suppliers', 'fluxion.stock_movements', 'fluxion.sale_taxes', 'fluxion.sale_payments',
    'pos_integration.mapping_cache', 'pos_integration.pending_deletes', 'pos_integration.sessions',
    'pos_integration.sync_jobs', 'pos_integration.sync_conflicts', 'pos_integration.contested', 'pos_integration.alerts',
    'pos_integration.status_events', 'pos_integration.webhook_receipts', 'pos_integration.commands',
    'pos_integration.users', 'pos_integration.api_tokens', 'pos_integration.audit_log'
  ] loop
    execute format('alter table %s enable row level security', tenant_table);
    execute format('alter table %s force row level security', tenant_table);
    execute format('create policy of_tenant on %s to fluxion_app using (tenant_id = nullif(current_setting(''fluxion.tenant_id'', true), '''')::uuid)', tenant_table);
    execute format('grant select on %s to fluxion_app', tenant_table);
  end loop;
  foreach tenant_table in array array[
    'fluxion.suppliers', 'fluxion.stock_movements', 'fluxion.sale_taxes', 'fluxion.sale_payments',
    'pos_integration.mapping_cache', 'pos_integration.pending_deletes', 'pos_integration.sync_conflicts',
    'pos_integration.contested'
  ] loop
    execute format('create policy of_sink on %s to fluxion_sink using (true) with check (true)', tenant_table);
    execute format('grant select, insert, update on %s to fluxion_sink', tenant_table);
  end loop;
  foreach tenant_table in array array[
    'pos_integration.sessions', 'pos_integration.sync_jobs', 'pos_integration.alerts', 'pos_integration.status_events',
    'pos_integration.webhook_receipts', 'pos_integration.commands'
  ] loop
    execute format('create policy of_stage on %s to fluxion_stage using (true) with check (true)', tenant_table);
    execute format('grant select, insert, update on %s to fluxion_stage', tenant_table);
  end loop;
  -- Who logs in, and with which token, is looked up before it is known of which tenant.
  foreach tenant_table in array array['pos_integration.users', 'pos_integration.api_tokens'] loop
    execute format('create policy of_stage on %s for select to fluxion_stage using (true)', tenant_table);
    execute format('grant select on %s to fluxion_stage', tenant_table);
  end loop;
end $$;

grant delete on pos_integration.pending_deletes to fluxion_sink;  -- a newer end takes the place of an unconfirmed one
grant update (confirmed_at, confirmed_by) on pos_integration.pending_deletes to fluxion_app;
grant update (resolved_at, resolution, resolved_by, notes) on pos_integration.quarantine to fluxion_app;
grant update (resolution_strategy, resolved_at, resolved_by, resolution_notes) on pos_integration.sync_conflicts to fluxion_app;
grant update (canonical_id, mapping_data, updated_at) on pos_integration.mapping_cache to fluxion_app;
grant insert, update on pos_integration.sync_jobs, pos_integration.alerts, pos_integration.commands to fluxion_app;
grant insert, update, delete on pos_integration.users, pos_integration.api_tokens to fluxion_app;
grant insert on pos_integration.audit_log to fluxion_app;  -- never changed, never deleted
