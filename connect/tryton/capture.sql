-- What a Tryton database needs so that its changes can be captured: two tables of the connector's own in a schema beside
-- Tryton's, a publication, and a role that may read seven tables and do no more than that. As a superuser of the database:
--
--     psql -v ON_ERROR_STOP=1 -f connect/tryton/capture.sql
--     psql -c '\password tryton_capture'
--
-- The role cannot log in by password before the second command. Both can be run again: what differs is set right.
-- The server needs wal_level=logical, and a bound on what a forgotten slot may keep: max_slot_wal_keep_size.

-- The key alone goes before a change. Record keys are ids, which never change, a delete needs nothing else, and what an
-- update did not touch is kept from the version before: whole old rows would only make the log of a busy ERP longer.
alter table public.party_party replica identity default;
alter table public.company_employee replica identity default;
alter table public.company_company replica identity default;
alter table public.currency_currency replica identity default;
alter table public.project_work replica identity default;
alter table public.timesheet_work replica identity default;
alter table public.timesheet_line replica identity default;

create schema if not exists capture;

-- The connector writes here at every heartbeat. Without, the log is kept for ever while its tables are quiet and Tryton's
-- others are busy, since the slot never moves.
create table if not exists capture.debezium_heartbeat (
  id integer primary key,
  beat timestamptz not null
);
comment on table capture.debezium_heartbeat is 'One row, written by the connector at every heartbeat.';

-- Requests to the connector, and its own marks while it reads a table beside what goes on. Names and order of the columns
-- are Debezium's.
create table if not exists capture.debezium_signal (
  id varchar(42) primary key,
  type varchar(32) not null,
  data varchar(2048)
);
comment on table capture.debezium_signal is 'Requests to the connector, and its marks while it reads a table on request.';

do $$
begin
  if not exists (select from pg_catalog.pg_roles where rolname = 'tryton_capture') then
    create role tryton_capture;
  end if;
  execute format('grant connect on database %I to tryton_capture', current_database());
end
$$;
alter role tryton_capture login replication nosuperuser nocreatedb nocreaterole noinherit;

grant usage on schema public, capture to tryton_capture;
grant select on
  public.party_party, public.company_employee, public.company_company, public.currency_currency, public.project_work,
  public.timesheet_work, public.timesheet_line
  to tryton_capture;
grant select, insert, update on capture.debezium_heartbeat to tryton_capture;
grant select, insert, delete on capture.debezium_signal to tryton_capture;

-- A publication that is there is given these tables and no others.
do $$
begin
  if not exists (select from pg_catalog.pg_publication where pubname = 'tryton_capture') then
    create publication tryton_capture;
  end if;
end
$$;
alter publication tryton_capture set (publish = 'insert, update, delete, truncate');
alter publication tryton_capture set table
  public.party_party, public.company_employee, public.company_company, public.currency_currency, public.project_work,
  public.timesheet_work, public.timesheet_line, capture.debezium_heartbeat, capture.debezium_signal;
