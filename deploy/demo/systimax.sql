-- Systimax/Abacus as its specification has it, with the cost and barcode that installations commonly have.
create table categories (category_id int primary key, category_name varchar(80) not null);
create table items (item_id int primary key, item_code varchar(40) not null unique, item_name varchar(200) not null,
  barcode varchar(40), category_id int, cost_price decimal(18,4), sale_price decimal(18,4) not null,
  active char(1) not null default 'Y', last_sale_date datetime);
create table stock (item_id int, location_id int, qty_on_hand decimal(18,3) not null, primary key (item_id, location_id));
create table transactions (trans_id bigint primary key auto_increment, trans_no varchar(30) not null,
  trans_date datetime not null, location_id int not null, subtotal decimal(18,2) not null, tax_amount decimal(18,2) not null,
  total_amount decimal(18,2) not null, payment_type varchar(20) not null);
create table transaction_details (detail_id bigint primary key auto_increment, trans_id bigint not null,
  item_code varchar(40) not null, qty decimal(18,3) not null, unit_price decimal(18,4) not null, key (trans_id));
