-- What a batch says of the final rows: worth and cost of each project, by SQL alone.
--
-- `batch.rows` holds the final rows of the other systems as they said them. Worth is what a project's items come to,
-- whether billed, held by a gate or over a cap: what order decides is only which of the three.

create schema if not exists batch;
create table if not exists batch.rows (topic text not null, id text not null, said jsonb not null, primary key (topic, id));

create or replace view batch.contracts as
select
  said->>'ContractNumber' as number,
  said->>'BillingType' as billing_type,
  said->>'CurrencyIsoCode' as currency,
  (said->>'Value')::numeric as value,
  coalesce((said->>'IncludedHours')::numeric, 0) as included_hours,
  (said->>'OverageRate')::numeric as overage_rate,
  said->>'ExpensePolicy' as expense_policy,
  coalesce((said->>'ExpenseMarkup')::numeric, 0) as expense_markup,
  (said->>'RequiresAcceptance')::boolean as requires_acceptance,
  (said->>'StartDate')::date as start_on,
  coalesce((
    select (amendment.said->>'NewEndDate')::date
    from batch.rows as amendment
    where amendment.topic = 'crm.ContractAmendment' and amendment.said->>'ContractNumber' = rows.said->>'ContractNumber'
      and amendment.said->>'Status' = 'Approved' and amendment.said->>'NewEndDate' is not null
    order by amendment.said->>'EffectiveDate' desc, amendment.id desc
    limit 1
  ), (said->>'EndDate')::date, 'infinity') as end_on,
  said->'Rates' as rates
from batch.rows where topic = 'crm.Contract';

create or replace view batch.amendments as
select id, said->>'ContractNumber' as contract, (said->>'EffectiveDate')::date as effective_on,
  coalesce((said->>'ValueDelta')::numeric, 0) as value_delta, said->'Rates' as rates
from batch.rows where topic = 'crm.ContractAmendment' and said->>'Status' = 'Approved';

-- Every rate with its first day; of those of one day the last in `place` holds.
create or replace view batch.bill_rates as
select number as contract, listed->>'Role' as role, (listed->>'Rate')::numeric as rate,
  (listed->>'EffectiveFrom')::date as from_on, ''::text as amended_on, ''::text as amendment, place
from batch.contracts, jsonb_array_elements(rates) with ordinality as each(listed, place)
union all
select contract, listed->>'Role', (listed->>'Rate')::numeric,
  greatest((listed->>'EffectiveFrom')::date, effective_on), effective_on::text, id, place
from batch.amendments, jsonb_array_elements(rates) with ordinality as each(listed, place);

create or replace function batch.rate_of(contract_ text, role_ text, on_ date) returns numeric language sql stable as $$
  select rate from batch.bill_rates
  where contract = contract_ and role in (role_, '*') and from_on <= on_
  order by role = role_ desc, from_on desc, amended_on desc, amendment desc, place desc
  limit 1
$$;

create or replace view batch.fx_rates as
select said->>'FromCurrency' as from_currency, said->>'ToCurrency' as to_currency, (said->>'Date')::date as day,
  (said->>'Rate')::numeric as rate
from batch.rows where topic = 'erp.FxRate';

create or replace function batch.fx(from_ text, to_ text, on_ date) returns numeric language sql stable as $$
  select case when from_ = to_ then 1 else coalesce(
    (select rate from batch.fx_rates
     where from_currency = from_ and to_currency = to_ and day <= on_ and day >= on_ - 7 order by day desc limit 1),
    (select 1::numeric(40, 30) / rate from batch.fx_rates
     where from_currency = to_ and to_currency = from_ and day <= on_ and day >= on_ - 7 order by day desc limit 1)
  ) end
$$;

create or replace function batch.rounded(amount numeric, currency text) returns numeric language sql immutable as $$
  select round(amount, case when currency in ('JPY', 'KRW') then 0 when currency in ('KWD', 'BHD') then 3 else 2 end)
$$;

create or replace view batch.hours_of_retainers as
select entry.id, entry.project_id, entry.work_date, entry.hours, contract.number,
  contract.included_hours, contract.overage_rate, contract.currency,
  sum(entry.hours) over (
    partition by contract.number, date_trunc('month', entry.work_date) order by entry.work_date, entry.id
  ) as hours_with_it
from public.time_entries as entry
join public.projects as project on project.id = entry.project_id
join batch.contracts as contract on contract.number = project.contract_number
where contract.billing_type = 'Retainer' and entry.status = 'Approved' and entry.billable;

-- The value of each item that can have one.
create or replace view batch.items as
select entry.project_id, 'time_entry' as kind, entry.id,
  batch.rounded(entry.hours * batch.rate_of(contract.number, entry.role, entry.work_date), contract.currency) as worth
from public.time_entries as entry
join public.projects as project on project.id = entry.project_id
join batch.contracts as contract on contract.number = project.contract_number
where contract.billing_type in ('T&M', 'T&M NTE') and entry.status = 'Approved' and entry.billable
  and entry.work_date between contract.start_on and contract.end_on
union all
select entry.project_id, 'time_entry', entry.id,
  batch.rounded(
    least(entry.hours, greatest(entry.hours_with_it - entry.included_hours, 0)) * entry.overage_rate, entry.currency
  )
from batch.hours_of_retainers as entry
join batch.contracts as contract on contract.number = entry.number
where entry.work_date between contract.start_on and contract.end_on
union all
select expense.project_id, 'expense', expense.id,
  batch.rounded(
    expense.amount * batch.fx(expense.currency, contract.currency, expense.expense_date)
    * case contract.expense_policy when 'Markup' then 1 + contract.expense_markup else 1 end, contract.currency
  )
from public.expenses as expense
join public.projects as project on project.id = expense.project_id
join batch.contracts as contract on contract.number = project.contract_number
where expense.status = 'Approved' and expense.billable and contract.expense_policy <> 'NonBillable'
  and expense.expense_date between contract.start_on and contract.end_on
union all
select milestone.project_id, 'milestone', milestone.id,
  batch.rounded(coalesce(milestone.amount, milestone.percent * (
    contract.value + coalesce((
      select sum(value_delta) from batch.amendments as amendment
      where amendment.contract = contract.number
        and amendment.effective_on <= (milestone.completed_at at time zone 'UTC')::date
    ), 0)
  )), contract.currency)
from public.milestones as milestone
join public.projects as project on project.id = milestone.project_id
join batch.contracts as contract on contract.number = project.contract_number
where contract.billing_type <> 'Retainer'
  and (milestone.status = 'Signed Off' or (milestone.status = 'Done' and not contract.requires_acceptance))
  and (milestone.completed_at at time zone 'UTC')::date between contract.start_on and contract.end_on;

create or replace view batch.cost_rates as
select worker.id as employee_id, (listed->>'Rate')::numeric as rate, listed->>'Currency' as currency,
  (listed->>'EffectiveFrom')::date as from_on, place
from batch.rows as worker, jsonb_array_elements(worker.said->'CostRates') with ordinality as each(listed, place)
where worker.topic = 'hr.Worker';

create or replace view batch.costs as
select entry.project_id, batch.rounded(
    entry.hours * cost.rate * batch.fx(cost.currency, project.currency, entry.work_date), project.currency
  ) as cost
from public.time_entries as entry
join public.projects as project on project.id = entry.project_id
join public.resources as resource on resource.id = entry.resource_id
join lateral (
  select rate, currency from batch.cost_rates
  where employee_id = resource.employee_id and from_on <= entry.work_date order by from_on desc, place desc limit 1
) as cost on true
where entry.status = 'Approved'
union all
select expense.project_id, batch.rounded(
    expense.amount * batch.fx(expense.currency, project.currency, expense.expense_date), project.currency
  )
from public.expenses as expense
join public.projects as project on project.id = expense.project_id
where expense.status = 'Approved';

create or replace view batch.psa_projects as
select project.id as project_id,
  coalesce((
    select sum(hours) from public.time_entries as entry where entry.project_id = project.id and entry.status = 'Approved'
  ), 0) as approved_hours,
  coalesce((
    select sum(hours) from public.time_entries as entry
    where entry.project_id = project.id and entry.status = 'Approved' and entry.billable
  ), 0) as billable_hours,
  coalesce((select sum(worth) from batch.items as item where item.project_id = project.id), 0) as worth,
  coalesce((select sum(cost) from batch.costs as cost where cost.project_id = project.id), 0) as cost
from public.projects as project;

-- All projects there are: those of a second PSA join them, in tryton.sql.
create or replace view batch.projects as select * from batch.psa_projects;
