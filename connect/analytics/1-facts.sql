-- Where the facts of analytics.delivery lie in a database: one row a fact, written by the connector `analytics`.
--
--     psql -v ON_ERROR_STOP=1 -d analytics -f connect/analytics/1-facts.sql
--     psql -d analytics -c '\password analytics_sink'
--
-- Columns are the fields of the topic, which are only ever added to; what they mean is in docs/topics.md. The connector
-- adds the column of a new field by itself, which is why its role owns the table, and nothing else. It can be run again.

create schema if not exists analytics;

do $$
begin
  if not exists (select from pg_catalog.pg_roles where rolname = 'analytics_sink') then
    create role analytics_sink;
  end if;
  if not exists (select from pg_catalog.pg_roles where rolname = 'analysts') then
    create role analysts;
  end if;
  execute format('grant connect on database %I to analytics_sink, analysts', current_database());
end
$$;
alter role analytics_sink login nosuperuser nocreatedb nocreaterole noinherit noreplication;

create table if not exists analytics.delivery_facts (
  fact_id text primary key,
  fact_kind text not null,
  occurred_at timestamptz not null,
  project_id text,
  contract_number text,
  client_id text,
  legal_entity text,
  currency text,
  trigger_id text,
  billing_kind text,
  reverses text,
  service_date date,
  service_period text,
  posting_period text,
  quantity numeric(9, 4),
  amount numeric(20, 4),
  billing_code text,
  approved_hours numeric(20, 4),
  billable_hours numeric(20, 4),
  cost numeric(20, 4),
  revenue numeric(20, 4),
  billed numeric(20, 4),
  held numeric(20, 4),
  margin numeric(20, 4),
  margin_pct numeric(20, 6),
  percent_complete numeric(20, 6),
  remaining_hours numeric(20, 4),
  forecast_cost numeric(20, 4),
  forecast_revenue numeric(20, 4),
  forecast_margin_pct numeric(20, 6),
  baseline_margin_pct numeric(20, 6),
  uncosted_hours numeric(20, 4),
  uncosted_amount numeric(20, 4),
  sequence bigint,
  alert_id text,
  alert_kind text,
  severity text,
  state text,
  entity_kind text,
  entity_id text,
  measure numeric(20, 6),
  threshold numeric(20, 6),
  unit text,
  system text,
  document_id text,
  status text,
  attempts bigint,
  opportunity_id text,
  step text
);
comment on table analytics.delivery_facts is 'One row a fact of analytics.delivery; fact_kind tells which columns are set.';
create index if not exists delivery_facts_of_projects on analytics.delivery_facts (project_id, fact_kind);
create index if not exists delivery_facts_of_contracts on analytics.delivery_facts (contract_number, fact_kind);
create index if not exists delivery_facts_of_triggers on analytics.delivery_facts (trigger_id);
create index if not exists delivery_facts_of_alerts on analytics.delivery_facts (alert_id);

alter table analytics.delivery_facts owner to analytics_sink;
grant usage on schema analytics to analytics_sink, analysts;
grant create on schema analytics to analytics_sink;
grant select on analytics.delivery_facts to analysts;
