-- Change data capture: its tables, the sys.fn_cdc_* functions, and the capture job.
set search_path = dbo, sys, public;

create sequence standin.capture_seq start 1000;
create table cdc.change_tables (
  object_id int primary key, version int default 0, source_object_id int, capture_instance citext unique,
  start_lsn bytea, end_lsn bytea, supports_net_changes int, has_drop_pending int, role_name text, index_name text,
  filegroup_name text, create_date timestamp default localtimestamp(3), partition_switch int default 1);
create table cdc.captured_columns (
  object_id int, column_name citext, column_id int, column_type text, column_ordinal int, is_computed int default 0);

-- A capture instance's change table is an object too.
create or replace function sys.object_id(object text) returns int language sql stable as $$
  select coalesce(
    (standin.table_of(object)).oid::int,
    (select object_id from cdc.change_tables
     where lower('cdc.' || capture_instance::text || '_ct') = lower(translate(object, '[]"', '')))) $$;

create function standin.to_lsn(v bigint) returns bytea language sql immutable as $$
  select decode(lpad(to_hex(v), 20, '0'), 'hex') $$;
create function standin.from_lsn(lsn bytea) returns bigint language sql immutable as $$
  select ('x' || lpad(right(encode(lsn, 'hex'), 16), 16, '0'))::bit(64)::bigint $$;
create view cdc.lsn_time_mapping as
  select standin.to_lsn(lsn) as start_lsn, committed_at::timestamp(3) as tran_begin_time,
         committed_at::timestamp(3) as tran_end_time, standin.to_lsn(xid::text::bigint) as tran_id,
         null::bytea as tran_begin_lsn
  from standin.commits where lsn is not null;

create function sys.fn_cdc_get_max_lsn() returns bytea language sql stable as $$
  select standin.to_lsn(max(lsn)) from standin.commits $$;
create function sys.fn_cdc_get_min_lsn(instance text) returns bytea language sql stable as $$
  select coalesce((select start_lsn from cdc.change_tables where capture_instance = instance::citext),
                  standin.to_lsn(0)) $$;
create function sys.fn_cdc_increment_lsn(lsn bytea) returns bytea language sql immutable as $$
  select standin.to_lsn(standin.from_lsn(lsn) + 1) $$;
create function sys.fn_cdc_decrement_lsn(lsn bytea) returns bytea language sql immutable as $$
  select standin.to_lsn(standin.from_lsn(lsn) - 1) $$;
create function sys.fn_cdc_map_lsn_to_time(wanted bytea) returns timestamp language sql stable as $$
  select tran_end_time from cdc.lsn_time_mapping where start_lsn = wanted $$;
create function sys.fn_cdc_map_time_to_lsn(relation text, t timestamp) returns bytea language sql stable as $$
  select standin.to_lsn(case lower(relation)
    when 'largest less than' then max(lsn) filter (where at < t)
    when 'largest less than or equal' then max(lsn) filter (where at <= t)
    when 'smallest greater than' then min(lsn) filter (where at > t)
    when 'smallest greater than or equal' then min(lsn) filter (where at >= t)
  end)
  from (select lsn, committed_at::timestamp(3) as at from standin.commits) c $$;

-- Update masks: bit n-1 from the right is the captured column with ordinal n. `bits` are '0' and '1', the last is ordinal 1.
create function standin.mask(bits text) returns bytea language sql immutable as $$
  select decode(string_agg(lpad(to_hex(substr(padded, 8 * i + 1, 8)::bit(8)::int), 2, '0'), '' order by i), 'hex')
  from (select lpad(bits, (length(bits) + 7) / 8 * 8, '0') as padded) p,
       generate_series(0, (length(bits) + 7) / 8 - 1) i $$;
create function sys.fn_cdc_get_column_ordinal(instance text, col text) returns int language sql stable as $$
  select c.column_ordinal from cdc.captured_columns c join cdc.change_tables t using (object_id)
  where t.capture_instance = instance::citext and c.column_name = col::citext $$;
create function sys.fn_cdc_is_bit_set(place int, mask bytea) returns int language sql immutable as $$
  select get_bit(mask, (length(mask) - 1 - (place - 1) / 8) * 8 + (place - 1) % 8) $$;
create function sys.fn_cdc_has_column_changed(instance text, col text, mask bytea) returns int language sql stable as $$
  select sys.fn_cdc_is_bit_set(sys.fn_cdc_get_column_ordinal(instance, col), mask) $$;

create function standin.require_cdc() returns void language plpgsql as $$
begin
  if not standin.flag('cdc') then
    perform standin.raise(22901, 'The database ''%s'' is not enabled for Change Data Capture. Ensure that the correct '
      'database context is set and retry the operation. To report on the databases enabled for Change Data Capture, '
      'query the is_cdc_enabled column in the sys.databases catalog view.', standin.name());
  end if;
end $$;
create function standin.cdc_database(enable boolean) returns void language plpgsql as $$
begin
  if not enable then
    perform standin.cdc_drop(capture_instance::text) from cdc.change_tables;
  end if;
  perform standin.set_setting('cdc', to_jsonb(enable));
end $$;

-- The capture job. Running, it captures in the moment of the commit; stopped, not at all; a scan captures once.
create function standin.capture_scan() returns void language plpgsql as $$
begin
  perform pg_advisory_xact_lock(4711);
  update standin.commits set lsn = logged_lsn, logged_lsn = null where logged_lsn is not null;
end $$;
create function standin.capture_stop() returns void language plpgsql as $$
begin
  perform standin.require_cdc();
  perform standin.set_setting('capture_stopped', 'true');
end $$;
create function standin.capture_start() returns void language plpgsql as $$
begin
  perform standin.require_cdc();
  perform standin.set_setting('capture_stopped', 'false');
  perform standin.capture_scan();
end $$;

-- What sp_cdc_help_change_data_capture, sp_cdc_get_captured_columns and sp_cdc_help_jobs show.
create function standin.captured_column_list(id int) returns text language sql stable as $$
  select string_agg('[' || column_name || ']', ', ' order by column_ordinal) from cdc.captured_columns
  where object_id = id $$;
create function standin.instance_of(instance text) returns int language plpgsql stable as $$
declare
  id int := (select object_id from cdc.change_tables where capture_instance = instance::citext);
begin
  if id is null then
    perform standin.raise(22960, 'Change data capture instance ''%s'' has not been enabled for the source table. Use '
      'sys.sp_cdc_help_change_data_capture to verify the capture instance name and retry the operation.', instance);
  end if;
  return id;
end $$;
create view standin.cdc_jobs as
  select 'capture'::citext as job_type, 0::bigint as retention where standin.flag('cdc')
  union all
  select 'cleanup'::citext, coalesce((standin.settings() ->> 'cdc_retention')::bigint, 4320) where standin.flag('cdc');
