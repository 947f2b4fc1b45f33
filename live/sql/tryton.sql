-- A second PSA, whose tables are Tryton's: what a batch says of them, by SQL alone, beside that of the first.
--
-- `batch.crosswalk` holds what the firm calls Tryton's ids elsewhere. Rows are joined as docs/tryton.md says.

create extension if not exists "uuid-ossp";
drop server if exists tryton cascade;
create server tryton foreign data wrapper postgres_fdw options (host :'host', port :'port', dbname 'tryton');
create user mapping for current_user server tryton options (user :'user', password :'password');
create schema if not exists tryton;
import foreign schema public limit to (project_work, timesheet_work, timesheet_line, company_company, currency_currency)
  from server tryton into tryton;

create table if not exists batch.crosswalk (
  name text not null, id text not null, said text, primary key (name, id)
);

create or replace function batch.known(name_ text, id_ text) returns text language sql stable as $$
  select said from batch.crosswalk where name = name_ and id = id_
$$;

create or replace view batch.tryton_projects as
select 'tryton:' || project.id as id, batch.known('contracts', project.id::text) as contract_number,
  currency.code::text as currency
from tryton.project_work as project
join tryton.company_company as company on company.id = project.company
join tryton.currency_currency as currency on currency.id = company.currency
where project.type = 'project' and project.parent is null;

create or replace view batch.tryton_entries as
select 'tryton:' || line.id as id, 'tryton:' || split_part(task.path, '/', 1) as project_id,
  coalesce(batch.known('task_roles', task.name), batch.known('employee_roles', line.employee::text)) as role,
  batch.known('employees', line.employee::text) as employee_id, line.date as work_date,
  round(extract(epoch from line.duration) / 3600, 4) as hours, line.invoice_line is null as billable
from tryton.timesheet_line as line
join tryton.timesheet_work as work on work.id = line.work
join tryton.project_work as task on work.origin = 'project.work,' || task.id;

create or replace view batch.tryton_items as
select entry.project_id, entry.id, contract.number as contract,
  batch.rounded(entry.hours * batch.rate_of(contract.number, entry.role, entry.work_date), contract.currency) as worth
from batch.tryton_entries as entry
join batch.tryton_projects as project on project.id = entry.project_id
join batch.contracts as contract on contract.number = project.contract_number
where entry.billable and contract.billing_type = 'T&M' and entry.work_date between contract.start_on and contract.end_on;

create or replace view batch.tryton_costs as
select entry.project_id, batch.rounded(
    entry.hours * cost.rate * batch.fx(cost.currency, project.currency, entry.work_date), project.currency
  ) as cost
from batch.tryton_entries as entry
join batch.tryton_projects as project on project.id = entry.project_id
join lateral (
  select rate, currency from batch.cost_rates
  where employee_id = entry.employee_id and from_on <= entry.work_date order by from_on desc, place desc limit 1
) as cost on true;

create or replace view batch.projects as
select * from batch.psa_projects
union all
select project.id,
  coalesce((select sum(hours) from batch.tryton_entries as entry where entry.project_id = project.id), 0),
  coalesce((select sum(hours) from batch.tryton_entries as entry where entry.project_id = project.id and billable), 0),
  coalesce((select sum(worth) from batch.tryton_items as item where item.project_id = project.id), 0),
  coalesce((select sum(cost) from batch.tryton_costs as cost where cost.project_id = project.id), 0)
from batch.tryton_projects as project;

-- Each timesheet line with what was billed for it in the end. A trigger's id says for which line, contract and revision
-- it is; no line is corrected a hundred times. What was billed for a line that is gone, or under a contract that its
-- project no longer has, must come to nothing.
create or replace view batch.tryton_lines_that_differ as
with billed as (
  select trigger_id, coalesce(reverses, trigger_id) as first_id, amount from facts.delivery_facts
  where fact_kind = 'billing' and project_id like 'tryton:%'
), ids as (
  select item.id, item.worth, uuid_generate_v5(
      uuid_ns_url(), concat_ws(':', 'throughline', item.contract, 'time_entry', item.id, revision)
    )::text as trigger_id
  from batch.tryton_items as item, generate_series(0, 99) as revision
)
select ids.id, ids.worth as wanted, sum(billed.amount) as billed
from ids left join billed using (trigger_id)
group by ids.id, ids.worth having ids.worth is distinct from coalesce(sum(billed.amount), 0)
union all
select billed.first_id, 0, sum(billed.amount)
from billed where not exists (select from ids where ids.trigger_id = billed.trigger_id)
group by billed.first_id having sum(billed.amount) <> 0;
