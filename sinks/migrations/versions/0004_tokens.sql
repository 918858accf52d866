-- A token may be bound to one store, and is then bound to that store's system as well.
alter table fluxion.stores add constraint stores_of_a_system unique (tenant_id, pos_system_id, id);
alter table pos_integration.api_tokens
  add column store_id uuid,
  add constraint api_tokens_store_has_its_system check (store_id is null or pos_system_id is not null),
  add foreign key (tenant_id, pos_system_id, store_id) references fluxion.stores (tenant_id, pos_system_id, id);

-- The servers work as fluxion_stage: they note when a token was used, and what was done with it, and read neither back.
create policy notes_use on pos_integration.api_tokens for update to fluxion_stage using (true);
grant update (last_used_at) on pos_integration.api_tokens to fluxion_stage;
create policy notes_deeds on pos_integration.audit_log for insert to fluxion_stage with check (true);
grant insert on pos_integration.audit_log to fluxion_stage;
create index audit_log_by_time on pos_integration.audit_log (tenant_id, at);
