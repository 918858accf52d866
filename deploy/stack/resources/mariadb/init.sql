-- Runs at every start. Unlogged: otherwise each start would add these statements to the binlog, and capture would see them.
set sql_log_bin=0;
create user if not exists 'app'@'%' identified by 'app';
grant all privileges on *.* to 'app'@'%' with grant option;
create user if not exists 'cdc'@'%' identified by 'cdc';
grant select, reload, show databases, replication slave, binlog monitor on *.* to 'cdc'@'%';
