-- rowversion, and the order of commits that change tracking and CDC share.
set search_path = dbo, sys, public;

-- A transaction takes a shared lock named after its first rowversion, by which others see that it is active.
create sequence standin.rowversion_seq start 2001;
select nextval('standin.rowversion_seq');
create function standin.to_rowversion(v bigint) returns bytea language sql immutable as $$
  select decode(lpad(to_hex(v), 16, '0'), 'hex') $$;
create function standin.next_rowversion() returns bytea language plpgsql as $$
begin
  if coalesce(current_setting('standin.rowversion', true), '') = '' then
    perform pg_advisory_xact_lock_shared(4712, (select last_value + 1 from standin.rowversion_seq)::int);
    perform set_config('standin.rowversion', 'held', true);
  end if;
  return standin.to_rowversion(nextval('standin.rowversion_seq'));
end $$;
create function standin.touch_rowversion() returns trigger language plpgsql as $$
begin
  return jsonb_populate_record(new, jsonb_build_object(tg_argv[0], standin.next_rowversion()));
end $$;
create function sys.dbts() returns bytea language sql volatile as $$
  select standin.to_rowversion(last_value) from standin.rowversion_seq $$;
create function sys.min_active_rowversion() returns bytea language plpgsql volatile as $$
declare
  upcoming bigint := (select last_value + 1 from standin.rowversion_seq);  -- read before the locks
  active bigint;
begin
  select min(objid::bigint) into active from pg_locks
  where locktype = 'advisory' and classid = 4712 and objsubid = 2
    and database = (select oid from pg_database where datname = current_database());
  return standin.to_rowversion(least(upcoming, active));
end $$;

-- One row per transaction that changed a tracked table. It is numbered at its commit, under a lock that PostgreSQL
-- releases when the commit is visible: so numbers become visible in order, without holes that fill later. Versions
-- belong to change tracking, LSNs to CDC. While the capture job is stopped a commit has a `logged_lsn` instead: it is
-- in the log, and no reader of change tables sees it.
create table standin.commits (
  xid xid8 primary key, for_ct boolean, for_cdc boolean, version bigint unique, lsn bigint unique, logged_lsn bigint,
  committed_at timestamptz);
create sequence standin.version_seq;
create sequence standin.lsn_seq start 11821949021847555 increment 655360;  -- 0x002a0000_00000003; LSNs have gaps
create sequence standin.seqval_seq start 11821949021847554 increment 131072;

-- Note that this transaction changed something; `kind` is ct or cdc.
create function standin.touch(kind text) returns void language plpgsql as $$
declare
  seen text := coalesce(current_setting('standin.touched', true), '');
begin
  if position(kind || ',' in seen) > 0 then
    return;
  end if;
  insert into standin.commits (xid, for_ct, for_cdc) values (pg_current_xact_id(), kind = 'ct', kind = 'cdc')
  on conflict (xid) do update
    set for_ct = commits.for_ct or excluded.for_ct, for_cdc = commits.for_cdc or excluded.for_cdc;
  perform set_config('standin.touched', seen || kind || ',', true);
end $$;

-- `reset_by` is the transaction whose TRUNCATE makes all older versions invalid once it commits.
create table ct.tracked (
  oid oid primary key, track_columns boolean, begin_version bigint, min_valid bigint, cleanup_version bigint,
  reset_by xid8);

create function standin.number_commit() returns trigger language plpgsql as $$
declare
  mine standin.commits;
  next_lsn bigint;
  stopped boolean;
begin
  perform pg_advisory_xact_lock(4711);
  select * into mine from standin.commits where xid = new.xid;
  if mine.for_cdc then
    next_lsn := nextval('standin.lsn_seq');
  end if;
  stopped := standin.flag('capture_stopped');
  update standin.commits
  set version = case when for_ct then nextval('standin.version_seq') end,
      lsn = case when not stopped then next_lsn end,
      logged_lsn = case when stopped then next_lsn end,
      committed_at = clock_timestamp()
  where xid = new.xid
  returning * into mine;
  update ct.tracked set min_valid = mine.version, begin_version = mine.version where reset_by = mine.xid;
  return null;
end $$;
create constraint trigger number_commit after insert on standin.commits deferrable initially deferred
  for each row execute function standin.number_commit();
