-- A point of sale as many in Venezuela are: documents of every kind in one table, lines, tenders and taxes in tables of their own.
create table articulos (codigo varchar(20) primary key, descripcion varchar(80) not null, precio decimal(18,4) not null,
 costo decimal(18,4), iva decimal(5,2), activo char(1) not null default 'S');
create table documentos (id bigint primary key auto_increment, tipo char(3) not null, estado char(1) not null, caja varchar(4),
 turno varchar(10), cajero varchar(20), numero varchar(20) not null, control varchar(20), fecha date not null, hora time not null,
 moneda char(3) not null default 'VES', tasa decimal(18,6), subtotal decimal(18,2), descuento decimal(18,2), exento decimal(18,2),
 iva decimal(18,2), igtf decimal(18,2), redondeo decimal(18,2), total decimal(18,2) not null, con_iva tinyint not null default 0,
 origen bigint, numero_origen varchar(20), rif varchar(20), cliente varchar(80), serial_fiscal varchar(20), numero_fiscal varchar(20),
 z varchar(10));
create table renglones (documento bigint, linea int, codigo varchar(20) not null, leido varchar(30), cantidad decimal(12,4) not null,
 unidad varchar(5), precio decimal(18,4) not null, descuento decimal(18,2), total decimal(18,2), tasa_iva decimal(5,2), clase char(1),
 costo decimal(18,4), primary key (documento, linea));
create table pagos (id bigint primary key auto_increment, documento bigint not null, forma varchar(20) not null, moneda char(3) not null,
 monto decimal(18,2) not null, tasa decimal(18,6), monto_bs decimal(18,2), igtf decimal(18,2), referencia varchar(30));
create table impuestos (documento bigint, clase char(1), tasa decimal(5,2), base decimal(18,2), monto decimal(18,2), primary key (documento, clase));
