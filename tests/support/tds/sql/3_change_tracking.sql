-- Change tracking: a log of keys per tracked table, and one CHANGETABLE function per table that nets it.
set search_path = dbo, sys, public;

create function standin.current_version() returns bigint language sql stable as $$
  select coalesce(max(version), 0) from standin.commits $$;
create function sys.change_tracking_current_version() returns bigint language sql stable as $$
  select case when standin.flag('ct') then standin.current_version() end $$;
create function sys.change_tracking_min_valid_version(id int) returns bigint language sql stable as $$
  select min_valid from ct.tracked where oid = id::oid $$;

-- ALTER DATABASE .. SET CHANGE_TRACKING; null leaves a setting as it is.
create function standin.ct_database(enable boolean, amount int, unit text, cleanup boolean) returns void
language plpgsql as $$
begin
  if enable and standin.flag('ct') then
    perform standin.raise(5088, 'Change tracking is already enabled for database ''%s''.', standin.name());
  elsif not coalesce(enable, true) and exists (select from ct.tracked) then
    perform standin.raise(22115, 'Change tracking is enabled for one or more tables in database ''%s''. Disable change '
      'tracking on each table before disabling it for the database. Use the sys.change_tracking_tables catalog view to '
      'obtain a list of tables for which change tracking is enabled.', standin.name());
  elsif not coalesce(enable, false) and not standin.flag('ct') then
    perform standin.raise(5089, 'Change tracking is disabled for database ''%s''. Change tracking must be enabled on a '
      'database to modify change tracking settings.', standin.name());
  end if;
  if enable is not null then
    perform standin.set_setting('ct', to_jsonb(enable));
  end if;
  if amount is not null then
    perform standin.set_setting('retention', to_jsonb(amount));
    perform standin.set_setting('retention_unit', to_jsonb(upper(unit)));
  end if;
  if cleanup is not null then
    perform standin.set_setting('auto_cleanup', to_jsonb(cleanup));
  end if;
end $$;

create function standin.ct_enable(object text, track boolean) returns void language plpgsql as $$
declare
  t standin.tables := standin.table_of(object);
begin
  if t.oid is null then
    perform standin.raise(4902, 'Cannot find the object "%s" because it does not exist or you do not have permissions.',
      object);
  elsif not standin.flag('ct') then
    perform standin.raise(1718, 'Change tracking must be enabled on database ''%s'' before it can be enabled on table '
      '''%s''.', standin.name(), t.name);
  elsif exists (select from ct.tracked where oid = t.oid) then
    perform standin.raise(4996, 'Change tracking is already enabled for table ''%s''.', t.name);
  elsif coalesce(cardinality(t.pk), 0) = 0 then
    perform standin.raise(4997, 'Cannot enable change tracking on table ''%s''. Change tracking requires a primary key '
      'on the table. Create a primary key on the table before enabling change tracking.', t.name);
  end if;
  perform standin.ct_log(t);
  perform standin.ct_changes(t);
  insert into ct.tracked values (t.oid, track, standin.current_version(), standin.current_version(), 0);
end $$;

-- The key's columns with their types, as a declaration.
create function standin.ct_key(t standin.tables) returns text language sql stable as $$
  select string_agg(format('%I %s', attname, format_type(atttypid, atttypmod)), ', '
                    order by array_position(t.pk, attname::text))
  from pg_attribute where attrelid = t.oid and attname = any (t.pk) $$;

-- The log of a table and the triggers that write it.
create function standin.ct_log(t standin.tables) returns void language plpgsql as $$
declare
  keys text; old_keys text; new_keys text; moved text;
begin
  select string_agg(format('%I', k), ', '), string_agg(format('old.%I', k), ', '),
         string_agg(format('new.%I', k), ', '),
         string_agg(format('old.%1$I is distinct from new.%1$I', k), ' or ')
  into keys, old_keys, new_keys, moved from unnest(t.pk) k;
  execute format('create table ct.%I (seq bigserial, xid xid8 default pg_current_xact_id(), op char(1), %s)',
                 'log_' || t.oid, standin.ct_key(t));
  execute format('create index on ct.%I (xid)', 'log_' || t.oid);
  execute format($f$
    create function ct.%1$I() returns trigger language plpgsql as $b$
    begin
      perform standin.touch('ct');
      if tg_op = 'INSERT' then
        insert into ct.%2$I (op, %3$s) values ('I', %5$s);
      elsif tg_op = 'DELETE' then
        insert into ct.%2$I (op, %3$s) values ('D', %4$s);
      elsif %6$s then  -- a changed key is a delete and an insert
        insert into ct.%2$I (op, %3$s) values ('D', %4$s), ('I', %5$s);
      else
        insert into ct.%2$I (op, %3$s) values ('U', %5$s);
      end if;
      return null;
    end $b$ $f$, 'track_' || t.oid, 'log_' || t.oid, keys, old_keys, new_keys, moved);
  execute format('create trigger ct_track after insert or update or delete on %s for each row '
                 'execute function ct.%I()', standin.quoted(t), 'track_' || t.oid);
  execute format('create trigger ct_truncate after truncate on %s execute function standin.ct_truncated()',
                 standin.quoted(t));
end $$;

-- CHANGETABLE(CHANGES t, since). Of a key's changes the newest says D or not, the oldest says I or not.
create function standin.ct_changes(t standin.tables) returns void language plpgsql as $$
declare
  keys text := (select string_agg(format('%I', k), ', ') from unnest(t.pk) k);
begin
  execute format($f$
    create function ct.%1$I(since bigint) returns table (
      sys_change_version bigint, sys_change_creation_version bigint, sys_change_operation text,
      sys_change_columns bytea, sys_change_context bytea, %2$s)
    language sql stable as $b$
      select version, created, case when op = 'D' then 'D' when first_op = 'I' then 'I' else 'U' end,
             null::bytea, null::bytea, %4$s
      from (select l.*, c.version, row_number() over w as place, last_value(op) over w as first_op,
                   max(case when op = 'I' then c.version end) over w as created
            from ct.%3$I l join standin.commits c using (xid) where c.version > coalesce(since, -1)
            window w as (partition by %4$s order by seq desc
                         rows between unbounded preceding and unbounded following)) l
      where place = 1 $b$ $f$, 'changes_' || standin.slug(t.sch, t.name), standin.ct_key(t), 'log_' || t.oid, keys);
end $$;

create function standin.ct_truncated() returns trigger language plpgsql as $$
begin
  perform standin.touch('ct');
  execute format('delete from ct.%I', 'log_' || tg_relid);
  update ct.tracked set reset_by = pg_current_xact_id() where oid = tg_relid;
  return null;
end $$;

create function standin.ct_disable(object text) returns void language plpgsql as $$
declare
  t standin.tables := standin.table_of(object);
begin
  if not exists (select from ct.tracked where oid = t.oid) then
    perform standin.raise(4998, 'Change tracking is not enabled on table ''%s''.', object);
  end if;
  execute format('drop trigger ct_truncate on %s', standin.quoted(t));
  perform standin.ct_drop(t);
end $$;
create function standin.ct_drop(t standin.tables) returns void language plpgsql as $$
begin
  execute format('drop function if exists ct.%I(bigint)', 'changes_' || standin.slug(t.sch, t.name));
  execute format('drop function if exists ct.%I() cascade', 'track_' || t.oid);
  execute format('drop table if exists ct.%I', 'log_' || t.oid);
  delete from ct.tracked where oid = t.oid;
end $$;

-- Forget what is older than the retention, of one table or of all. Returns the number of rows removed.
create function standin.ct_cleanup(object text default null) returns bigint language plpgsql as $$
declare
  s jsonb := standin.settings();
  horizon timestamptz := clock_timestamp() - ((s ->> 'retention') || ' ' || (s ->> 'retention_unit'))::interval;
  upto bigint := (select max(version) from standin.commits where committed_at < horizon);
  target oid; gone bigint; total bigint := 0;
begin
  if upto is null then
    return 0;
  end if;
  for target in select oid from ct.tracked where object is null or oid = sys.object_id(object)::oid loop
    execute format('delete from ct.%I l using standin.commits c where c.xid = l.xid and c.version <= $1',
                   'log_' || target) using upto;
    get diagnostics gone = row_count;
    total := total + gone;
    update ct.tracked set min_valid = greatest(min_valid, upto), cleanup_version = upto where oid = target;
  end loop;
  return total;
end $$;

-- Time for tests: every recorded change becomes older, then the automatic clean-up runs if it is on.
create function standin.advance_clock(minutes int) returns void language plpgsql as $$
begin
  update standin.commits set committed_at = committed_at - make_interval(mins => minutes);
  if standin.flag('ct') and standin.flag('auto_cleanup') then
    perform standin.ct_cleanup();
  end if;
end $$;
