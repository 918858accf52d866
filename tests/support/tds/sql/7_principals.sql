-- Who may enter, and what was granted. Logins are a setting of master, {name: password}; users and roles belong to a
-- database. Grants are remembered for the catalogue; nobody is ever refused for want of one.
set search_path = dbo, sys, public;

create table standin.principals (
  principal_id int generated always as identity (start with 5), name citext primary key, type citext, login citext);
create table standin.members (role citext, member citext, primary key (role, member));
create table standin.permissions (
  grantee citext, permission citext, object int default 0, unique (grantee, permission, object));
insert into standin.principals (name, type, login) overriding system value
values ('public', 'R', null), ('dbo', 'S', 'sa'), ('db_owner', 'R', null), ('db_datareader', 'R', null);

create function sys.suser_sid(wanted text) returns bytea language sql stable as $$
  select case when wanted = 'sa' then '\x01'::bytea else decode(md5(name), 'hex') end
  from (select lower(wanted) as name) n
  where name = 'sa'
     or exists (select from standin.databases where lower(s ->> 'name') = 'master' and s -> 'logins' ? name) $$;
create view sys.server_principals as
  select l::citext as name, (259 + row_number() over (order by l))::int as principal_id, sys.suser_sid(l) as sid,
         'S'::citext as type, 'SQL_LOGIN'::citext as type_desc, 0::smallint as is_disabled
  from standin.databases, jsonb_object_keys(s -> 'logins') l where lower(s ->> 'name') = 'master'
  union all select 'sa', 1, sys.suser_sid('sa'), 'S', 'SQL_LOGIN', 0;
create view sys.sql_logins as select * from sys.server_principals;
create view sys.database_principals as
  select name, principal_id, sys.suser_sid(login::text) as sid, type,
         case type when 'R' then 'DATABASE_ROLE' else 'SQL_USER' end::citext as type_desc
  from standin.principals;
create view sys.database_role_members as
  select r.principal_id as role_principal_id, m.principal_id as member_principal_id
  from standin.members join standin.principals r on r.name = role join standin.principals m on m.name = member;
create view sys.database_permissions as
  select case when object = 0 then 0 else 1 end as class, object as major_id, 0 as minor_id,
         g.principal_id as grantee_principal_id, 1 as grantor_principal_id, permission as permission_name,
         case permission when 'CONNECT' then 'CO' when 'SELECT' then 'SL' when 'VIEW CHANGE TRACKING' then 'VWCT'
                         else left(permission::text, 4) end::citext as type, 'G'::citext as state
  from standin.permissions join standin.principals g on g.name = grantee;

create function sys.suser_id(wanted text) returns int language sql stable as $$
  select principal_id from sys.server_principals where name = wanted::citext $$;
create function sys.database_principal_id(wanted text) returns int language sql stable as $$
  select principal_id from standin.principals where name = wanted::citext $$;
create function sys.user_id(wanted text) returns int language sql stable as $$
  select sys.database_principal_id(wanted) $$;
create function sys.is_rolemember(wanted text, who text) returns int language sql stable as $$
  select case when sys.database_principal_id(wanted) is not null and sys.database_principal_id(who) is not null
              then (select count(*)::int from standin.members where role = wanted::citext and member = who::citext) end $$;
create function standin.drop_principal(wanted citext) returns void language sql as $$
  delete from standin.members where wanted in (role, member);
  delete from standin.permissions where grantee = wanted;
  delete from standin.principals where name = wanted; $$;
