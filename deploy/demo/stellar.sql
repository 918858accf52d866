-- Stellar POS as its specification has it, with an identity as the key of lines.
CREATE TABLE categorias (id int NOT NULL PRIMARY KEY, nombre nvarchar(80) NOT NULL);
CREATE TABLE productos (codigo varchar(40) NOT NULL PRIMARY KEY, nombre nvarchar(200) NOT NULL, precio_venta money NOT NULL,
  existencia decimal(18,3) NOT NULL, fecha_ultima_venta datetime NULL, categoria_id int NULL, activo bit NOT NULL);
CREATE TABLE ventas (id int IDENTITY(1,1) NOT NULL PRIMARY KEY, numero_factura varchar(30) NOT NULL, fecha_venta datetime NOT NULL,
  subtotal money NOT NULL, iva money NOT NULL, total money NOT NULL, forma_pago nvarchar(20) NOT NULL);
CREATE TABLE detalle_ventas (id int IDENTITY(1,1) NOT NULL PRIMARY KEY, venta_id int NOT NULL, codigo_producto varchar(40) NOT NULL,
  cantidad decimal(18,3) NOT NULL, precio_unitario money NOT NULL);
