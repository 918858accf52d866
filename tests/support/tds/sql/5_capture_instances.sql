-- One capture instance: a raw table, the trigger that fills it, the view cdc.<instance>_CT and the query function.
set search_path = dbo, sys, public;

-- Make the trigger's function. It is made again after ALTER TABLE: columns that went away are captured as null.
create function standin.cdc_trigger(instance int) returns void language plpgsql as $$
declare
  t standin.tables; raw text := 'raw_' || instance;
  cols text; old_row text; new_row text; before_row text; bits text; ones text; moved text;
begin
  select s.* into t from standin.tables s join cdc.change_tables c on s.oid = c.source_object_id::oid
  where c.object_id = instance;
  select string_agg(format('%I', name), ', ' order by place),
         string_agg(case when live then format('old.%I', name) else 'null' end, ', ' order by place),
         string_agg(case when live then format('new.%I', name) else 'null' end, ', ' order by place),
         string_agg(case when not live then 'null'
                         when long then format('case when old.%1$I is distinct from new.%1$I then old.%1$I end', name)
                         else format('old.%I', name) end, ', ' order by place),
         string_agg(case when live then format('(old.%1$I is distinct from new.%1$I)::int', name) else '0' end,
                    ', ' order by place desc),
         repeat('1', count(*)::int)
  into cols, old_row, new_row, before_row, bits, ones
  from (select lower(k.column_name::text) as name, k.column_ordinal as place, a.attname is not null as live,
               coalesce(d.length, 0) < 0 as long
        from cdc.captured_columns k
        left join pg_attribute a
          on a.attrelid = t.oid and a.attname = lower(k.column_name::text) and not a.attisdropped
        left join standin.columns d on d.oid = t.oid and d.attnum = a.attnum
        where k.object_id = instance) c;
  select coalesce(string_agg(format('old.%1$I is distinct from new.%1$I', k), ' or '), 'false')
  into moved from unnest(t.pk) k;
  execute format($f$
    create or replace function cdc.%1$I() returns trigger language plpgsql as $b$
    declare
      s bigint := nextval('standin.seqval_seq'); every bytea := standin.mask('%9$s'); changed bytea;
      second bigint := case when standin.flag('own_seqval') then nextval('standin.seqval_seq') else s end;
    begin
      perform standin.touch('cdc');
      if tg_op = 'INSERT' then
        insert into cdc.%2$I (s, op, mask, %3$s) values (s, 2, every, %5$s);
      elsif tg_op = 'DELETE' then
        insert into cdc.%2$I (s, op, mask, %3$s) values (s, 1, every, %4$s);
      elsif (%6$s) and not standin.flag('key_as_update') then  -- it is logged as a delete and an insert
        insert into cdc.%2$I (s, op, mask, %3$s) values (s, 1, every, %4$s), (second, 2, every, %5$s);
      else
        changed := standin.mask(concat(%7$s));
        insert into cdc.%2$I (s, op, mask, %3$s) values (s, 3, changed, %8$s), (second, 4, changed, %5$s);
      end if;
      return null;
    end $b$ $f$, 'capture_' || instance, raw, cols, old_row, new_row, moved, bits, before_row, ones);
end $$;

create function standin.cdc_no_truncate() returns trigger language plpgsql as $$
begin
  perform standin.raise(4711, 'Cannot truncate table ''%s'' because it is published for replication or enabled for '
    'Change Data Capture.', tg_table_name);
  return null;
end $$;

-- sp_cdc_enable_table. `wanted` lists the captured columns, null for all.
create function standin.cdc_enable(
  source_schema text, source_name text, instance text, net int, role text, wanted text) returns void
language plpgsql as $$
declare
  t standin.tables := standin.table_of(source_schema || '.' || source_name);
  id int := nextval('standin.capture_seq');
begin
  instance := coalesce(instance, source_schema || '_' || source_name);
  perform standin.require_cdc();
  perform standin.cdc_check(t, source_schema, source_name, instance, net);
  insert into cdc.change_tables (object_id, source_object_id, capture_instance, start_lsn, supports_net_changes, role_name)
  values (id, t.oid::int, instance, standin.to_lsn(nextval('standin.lsn_seq')), coalesce(net, 0), role);
  insert into cdc.captured_columns
  select id, name, attnum, type, row_number() over (order by attnum) from standin.columns
  where oid = t.oid and (wanted is null or lower(name) = any (string_to_array(lower(translate(wanted, '[] ', '')), ',')));
  perform standin.cdc_make(t, id, instance);
  insert into standin.principals (name, type) select role, 'R' where role is not null on conflict do nothing;
end $$;

create function standin.cdc_check(
  t standin.tables, source_schema text, source_name text, instance text, net int) returns void language plpgsql as $$
begin
  if t.oid is null then
    perform standin.raise(22931, 'Source table ''%s.%s'' does not exist in the current database. Ensure that the correct '
      'database context is set. Specify a valid schema and table name for the database.', source_schema, source_name);
  elsif exists (select from cdc.change_tables where capture_instance = instance::citext) then
    perform standin.raise(22926, 'Could not create a capture instance because the capture instance name ''%s'' already '
      'exists in the current database. Specify an explicit unique name for the parameter @capture_instance.', instance);
  elsif (select count(*) from cdc.change_tables where source_object_id = t.oid::int) >= 2 then
    perform standin.raise(22962, 'Two capture instances already exist for source table ''%s.%s''. A table can have at '
      'most two capture instances. If the current tracking options are not appropriate, disable change tracking for the '
      'obsolete instance by using sys.sp_cdc_disable_table and retry the operation.', source_schema, source_name);
  elsif net = 1 and coalesce(cardinality(t.pk), 0) = 0 then
    perform standin.raise(22939, 'The parameter @supports_net_changes is set to 1, but the source table does not have a '
      'primary key defined and no alternate unique index has been specified.');
  end if;
end $$;

create function standin.cdc_make(t standin.tables, id int, instance text) returns void language plpgsql as $$
declare
  decl text; cols text; ci text := lower(instance); raw text := 'raw_' || id;
begin
  select string_agg(format('%I %s', attname, format_type(atttypid, atttypmod)), ', ' order by attnum),
         string_agg(format('l.%I', attname), ', ' order by attnum)
  into decl, cols from pg_attribute
  where attrelid = t.oid and attnum in (select column_id from cdc.captured_columns where object_id = id);
  execute format('create table cdc.%I (xid xid8 default pg_current_xact_id(), s bigint, op int, mask bytea, %s)', raw, decl);
  execute format('create index on cdc.%I (xid)', raw);
  execute format($f$
    create view cdc.%I as
    select standin.to_lsn(c.lsn) as "__$start_lsn", null::bytea as "__$end_lsn", standin.to_lsn(l.s) as "__$seqval",
           l.op as "__$operation", l.mask as "__$update_mask", %s
    from cdc.%I l join standin.commits c using (xid) where c.lsn is not null $f$, ci || '_ct', cols, raw);
  execute format($f$
    create function cdc.%1$I("@from" bytea, "@to" bytea, "@rows" text) returns table (
      "__$start_lsn" bytea, "__$seqval" bytea, "__$operation" int, "__$update_mask" bytea, %2$s)
    language plpgsql stable as $b$
    #variable_conflict use_column
    begin
      perform standin.cdc_window(%4$L, "@from", "@to", "@rows");
      return query select standin.to_lsn(c.lsn), standin.to_lsn(l.s), l.op, l.mask, %3$s
      from cdc.%5$I l join standin.commits c using (xid)
      where c.lsn between standin.from_lsn("@from") and standin.from_lsn("@to")
        and (l.op <> 3 or lower(trim("@rows")) = 'all update old');
    end $b$ $f$, 'fn_cdc_get_all_changes_' || ci, decl, cols, instance, raw);
  perform standin.cdc_trigger(id);
  execute format('create trigger %I after insert or update or delete on %s for each row execute function cdc.%I()',
                 'cdc_' || id, standin.quoted(t), 'capture_' || id);
  execute format('create trigger %I before truncate on %s execute function standin.cdc_no_truncate()',
                 'cdc_truncate_' || id, standin.quoted(t));
end $$;

-- Error 313 is what SQL Server gives for a window outside what it has, though it says something else.
create function standin.cdc_window(instance text, f bytea, t bytea, o text) returns void language plpgsql as $$
begin
  if f is null or t is null or f > t or f < sys.fn_cdc_get_min_lsn(instance)
     or t > coalesce(sys.fn_cdc_get_max_lsn(), '\x') or lower(trim(o)) not in ('all', 'all update old') then
    perform standin.raise(313, 'An insufficient number of arguments were supplied for the procedure or function '
      'cdc.fn_cdc_get_all_changes_ ... .');
  end if;
end $$;

create function standin.cdc_drop(instance text) returns void language plpgsql as $$
declare
  c cdc.change_tables; ci text := lower(instance); source text;
begin
  select * into c from cdc.change_tables where capture_instance = instance::citext;
  if c.object_id is null then
    perform standin.raise(22960, 'Change data capture instance ''%s'' has not been enabled for the source table. Use '
      'sys.sp_cdc_help_change_data_capture to verify the capture instance name and retry the operation.', instance);
  end if;
  select standin.quoted(t) into source from standin.tables t where oid = c.source_object_id::oid;
  if to_regclass(source) is not null then
    execute format('drop trigger if exists %I on %s', 'cdc_truncate_' || c.object_id, source);
  end if;
  execute format('drop function cdc.%I(bytea, bytea, text)', 'fn_cdc_get_all_changes_' || ci);
  execute format('drop function cdc.%I() cascade', 'capture_' || c.object_id);
  execute format('drop view cdc.%I', ci || '_ct');
  execute format('drop table cdc.%I', 'raw_' || c.object_id);
  delete from cdc.captured_columns where object_id = c.object_id;
  delete from cdc.change_tables where object_id = c.object_id;
end $$;

-- sp_cdc_cleanup_change_table: forget what is below `low`, which must be the LSN of a commit.
create function standin.cdc_cleanup(instance text, low bytea) returns void language plpgsql as $$
declare
  id int;
begin
  perform standin.require_cdc();
  select object_id into id from cdc.change_tables where capture_instance = instance::citext;
  if not exists (select from cdc.lsn_time_mapping where start_lsn = low) then
    perform standin.raise(22964, 'LSN %s, specified as the new low end point for change table cleanup must represent the '
      'start_lsn value of a current entry in the cdc.lsn_time_mapping table. Choose an LSN value that satisfies this '
      'requirement.', low::text);
  end if;
  update cdc.change_tables set start_lsn = low where object_id = id;
  execute format('delete from cdc.%I l using standin.commits c where c.xid = l.xid and c.lsn < $1', 'raw_' || id)
    using standin.from_lsn(low);
end $$;

-- A dropped table takes its tracking and its capture instances with it.
create function standin.forget(target oid) returns void language plpgsql as $$
begin
  perform standin.cdc_drop(capture_instance::text) from cdc.change_tables where source_object_id = target::int;
  perform standin.ct_drop(t) from standin.tables t where oid = target;
  delete from standin.columns where oid = target;
  delete from standin.tables where oid = target;
end $$;
