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
