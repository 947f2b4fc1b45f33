-- What a PSA database needs so that its changes can be captured: whole old rows, two tables of the connector's own, a
-- publication, and a role that may do no more than that. As a superuser of the database, after the tables are there:
--
--     psql -v ON_ERROR_STOP=1 -f connect/psa/2-capture.sql
--     psql -c '\password debezium'
--
-- The role cannot log in by password before the second command. Both can be run again: what differs is set right.
-- The server needs wal_level=logical, and a bound on what a forgotten slot may keep: max_slot_wal_keep_size.
-- docs/connect.md has the rest.

-- A change of project_id is a delete under the old record key and a create under the new one, and the old one is no part
-- of the primary key: the log must have the whole old row. So it also has long values that an update did not touch.
alter table public.clients replica identity full;
alter table public.resources replica identity full;
alter table public.projects replica identity full;
alter table public.milestones replica identity full;
alter table public.assignments replica identity full;
alter table public.time_entries replica identity full;
alter table public.expenses replica identity full;

-- The connector writes here at every heartbeat. Without, a database whose captured tables are quiet while others are
-- busy keeps its log for ever, since the slot never moves.
create table if not exists public.debezium_heartbeat (
  id integer primary key,
  beat timestamptz not null
);
comment on table public.debezium_heartbeat is 'One row, written by the connector at every heartbeat.';

-- Requests to the connector, such as `throughline connect snapshot`, and its own marks while it reads a table beside
-- what goes on. Names and order of the columns are Debezium's.
create table if not exists public.debezium_signal (
  id varchar(42) primary key,
  type varchar(32) not null,
  data varchar(2048)
);
comment on table public.debezium_signal is 'Requests to the connector, and its marks while it reads a table on request.';

do $$
begin
  if not exists (select from pg_catalog.pg_roles where rolname = 'debezium') then
    create role debezium;
  end if;
  execute format('grant connect on database %I to debezium', current_database());
end
$$;
alter role debezium login replication nosuperuser nocreatedb nocreaterole noinherit;

grant usage on schema public to debezium;
grant select on
  public.clients, public.resources, public.projects, public.milestones, public.assignments, public.time_entries,
  public.expenses
  to debezium;
grant select, insert, update on public.debezium_heartbeat to debezium;
grant select, insert, delete on public.debezium_signal to debezium;

-- A publication that is there is given these tables and no others. Truncates are published, too: nobody can undo what they
-- took away row by row, so they come out as dead letters, in place of being passed over.
do $$
begin
  if not exists (select from pg_catalog.pg_publication where pubname = 'psa_capture') then
    create publication psa_capture;
  end if;
end
$$;
alter publication psa_capture set (publish = 'insert, update, delete, truncate');
alter publication psa_capture set table
  public.clients, public.resources, public.projects, public.milestones, public.assignments, public.time_entries,
  public.expenses, public.debezium_heartbeat, public.debezium_signal;
