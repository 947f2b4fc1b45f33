-- The role as which Throughline makes projects of deals that were won, and no more than that needs. Only where
-- activation.yaml has a doer of kind psa_database. As a superuser of the database, after the tables are there:
--
--     psql -v ON_ERROR_STOP=1 -f connect/psa/3-activation.sql
--     psql -c '\password throughline_activation'
--
-- The role cannot log in by password before the second command. Both can be run again: what differs is set right.

do $$
begin
  if not exists (select from pg_catalog.pg_roles where rolname = 'throughline_activation') then
    create role throughline_activation;
  end if;
  execute format('grant connect on database %I to throughline_activation', current_database());
end
$$;
alter role throughline_activation login noreplication nosuperuser nocreatedb nocreaterole noinherit connection limit 20;

grant usage on schema public to throughline_activation;
grant select (id, crm_account_id) on public.clients to throughline_activation;
-- It sees of projects what tells whether somebody has touched one, and of what lies under them only that it is there.
grant select on public.projects to throughline_activation;
grant insert (
  id, name, client_id, contract_number, stage, region, legal_entity, currency, start_date, end_date, updated_at
) on public.projects to throughline_activation;
grant update (stage, updated_at) on public.projects to throughline_activation;
grant select (project_id) on public.milestones, public.assignments, public.time_entries, public.expenses
  to throughline_activation;
