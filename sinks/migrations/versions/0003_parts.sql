-- A deleted line, tender or tax of which the source knows the key alone, and that nobody has stored, leaves a tombstone that
-- belongs to no sale; an older row then never gets in. Whatever is there belongs to one.
alter table fluxion.sale_items alter column sale_id drop not null,
  add constraint sale_items_of_a_sale check (sale_id is not null or purged_at is not null or deleted_at is not null);
alter table fluxion.sale_payments alter column sale_id drop not null,
  add constraint sale_payments_of_a_sale check (sale_id is not null or purged_at is not null or deleted_at is not null);
alter table fluxion.sale_taxes alter column sale_id drop not null,
  add constraint sale_taxes_of_a_sale check (sale_id is not null or purged_at is not null or deleted_at is not null);

-- What moved to another sale is no part of this one any more, yet its version tells this one's states apart.
alter table fluxion.sales
  add column left_version bigint,            -- the newest version of a part that moved to another sale; null: none did
  add column left_revision integer;          -- the newest mapping revision of such a part

-- Codes such as PRECISION_REDUCED:quantity=0.123456, as products and sales have them.
alter table fluxion.sale_items add column warnings text[] not null default '{}';
alter table fluxion.sale_payments add column warnings text[] not null default '{}';
alter table fluxion.sale_taxes add column warnings text[] not null default '{}';
alter table fluxion.stock_levels add column warnings text[] not null default '{}';
alter table fluxion.stock_movements add column warnings text[] not null default '{}';

-- What was deleted before anybody saw it was never in its sale: purged_at says when it went, deleted_at that it counts nowhere.
-- The rows are hidden from the owner while row level security is forced.
alter table fluxion.sale_items no force row level security;
alter table fluxion.sale_payments no force row level security;
alter table fluxion.sale_taxes no force row level security;
update fluxion.sale_items set deleted_at = purged_at where purged_at is not null and deleted_at is null
  and num_nonnulls(line_no, sku, product_id, scanned_code, name, quantity, unit, unit_price, line_total, tax_rate) = 0;
update fluxion.sale_payments set deleted_at = purged_at where purged_at is not null and deleted_at is null
  and num_nonnulls(method, currency, amount, rate, amount_base, igtf, reference) = 0;
update fluxion.sale_taxes set deleted_at = purged_at where purged_at is not null and deleted_at is null
  and num_nonnulls(category, rate, base, amount) = 0;
alter table fluxion.sale_items force row level security;
alter table fluxion.sale_payments force row level security;
alter table fluxion.sale_taxes force row level security;

-- Which row an entry is of: the id of the record that it would have been, or one made from table and key; null where it has
-- none. Of a row that came again at most one entry is open; the sink settles the others as superseded.
alter table pos_integration.quarantine add column row_id uuid,
  drop constraint quarantine_resolution_check,
  add constraint quarantine_resolution_check check (resolution in ('retried', 'discarded', 'superseded'));
create index quarantine_of_row on pos_integration.quarantine (tenant_id, row_id) where row_id is not null;
