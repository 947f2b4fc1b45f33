-- One view for each question that the business asks, over analytics.delivery_facts. Amounts of different currencies are
-- never added. docs/analytics.md says which question each answers. After 1-facts.sql; it can be run again.
--
--     psql -v ON_ERROR_STOP=1 -f connect/analytics/2-views.sql

-- The newest word on each alert. One that says the same twice at one instant is told apart by its place in the topic.
create or replace view analytics.alerts_now as
select distinct on (alert_id)
  alert_id, alert_kind, severity, state, entity_kind, entity_id, project_id, contract_number, client_id, measure,
  threshold, unit, occurred_at,
  min(occurred_at) filter (where state = 'open') over (partition by alert_id) as first_opened_at
from analytics.delivery_facts
where fact_kind = 'alert'
order by alert_id, occurred_at desc, length(fact_id) desc, fact_id desc;
comment on view analytics.alerts_now is 'The newest word on each alert, resolved ones included.';

create or replace view analytics.open_alerts as
select * from analytics.alerts_now where state <> 'resolved';
comment on view analytics.open_alerts is 'What is open now, of every kind.';

-- The newest margin of each project: the highest sequence holds.
create or replace view analytics.project_margins as
select distinct on (project_id)
  project_id, contract_number, client_id, currency, approved_hours, billable_hours, cost, revenue, billed, held, margin,
  margin_pct, percent_complete, remaining_hours, forecast_cost, forecast_revenue, forecast_margin_pct,
  baseline_margin_pct, uncosted_hours, uncosted_amount, sequence, occurred_at as as_of
from analytics.delivery_facts
where fact_kind = 'margin'
order by project_id, sequence desc;
comment on view analytics.project_margins is 'Cost, revenue, margin and forecast of each project now.';

-- What each trigger came to in the ERP. A trigger that is not answered yet has no receipt.
create or replace view analytics.billing_lines as
select
  billed.trigger_id, billed.billing_kind, billed.reverses, billed.contract_number, billed.project_id, billed.client_id,
  billed.legal_entity, billed.service_date, billed.service_period, billed.posting_period, billed.quantity,
  billed.amount, billed.currency, billed.billing_code, billed.occurred_at,
  receipt.system, receipt.document_id, receipt.status, receipt.attempts, receipt.occurred_at as answered_at
from analytics.delivery_facts as billed
left join lateral (
  select answer.system, answer.document_id, answer.status, answer.attempts, answer.occurred_at
  from analytics.delivery_facts as answer
  where answer.fact_kind = 'receipt' and answer.trigger_id = billed.trigger_id
  order by answer.occurred_at desc nulls last, answer.attempts desc
  limit 1
) as receipt on true
where billed.fact_kind = 'billing';
comment on view analytics.billing_lines is 'Each trigger and reversal, with what the ERP answered for it.';

-- Finance operations.

create or replace view analytics.milestones_done_not_invoiced as
select entity_id as milestone_id, project_id, contract_number, client_id, measure as value, unit as currency,
  first_opened_at
from analytics.open_alerts where alert_kind = 'milestone_unbilled';
comment on view analytics.milestones_done_not_invoiced is 'Which milestones are complete and not invoiced?';

create or replace view analytics.value_held as
select project_id, contract_number, client_id, held, billed, currency, as_of
from analytics.project_margins where held <> 0;
comment on view analytics.value_held is 'How much value is held, by project? Why is in the exception queue.';

create or replace view analytics.billing_unanswered as
select * from analytics.billing_lines where status is null or status not in ('posted', 'superseded');
comment on view analytics.billing_unanswered is 'What did we send or decide that no ERP has booked?';

create or replace view analytics.net_billed as
select contract_number, posting_period, currency, sum(amount) as amount, count(*) filter (where amount < 0) as reversals,
  count(*) as lines
from analytics.delivery_facts where fact_kind = 'billing'
group by contract_number, posting_period, currency;
comment on view analytics.net_billed is 'What was billed net, by contract and month it is booked in?';

create or replace view analytics.expenses_not_posted as
select entity_id as expense_id, project_id, contract_number, measure as amount, unit as currency, first_opened_at
from analytics.open_alerts where alert_kind = 'expense_late';
comment on view analytics.expenses_not_posted is 'Which approved expenses has the ERP not booked as cost?';

create or replace view analytics.reconciliation_gaps as
select project_id, right(entity_id, 7) as posting_period, contract_number, measure as gap, unit as currency,
  first_opened_at
from analytics.open_alerts where alert_kind = 'reconciliation_gap';
comment on view analytics.reconciliation_gaps is 'Where do triggers and posted invoices differ, by project and month?';

-- Delivery leads.

create or replace view analytics.margins_at_risk as
select alert.project_id, alert.severity, alert.first_opened_at, margin.forecast_margin_pct, margin.baseline_margin_pct,
  margin.forecast_revenue, margin.forecast_cost, margin.currency
from analytics.open_alerts as alert
left join analytics.project_margins as margin using (project_id)
where alert.alert_kind = 'margin_erosion';
comment on view analytics.margins_at_risk is 'Which projects will miss their margin, and since when?';

create or replace view analytics.caps_nearly_burnt as
select contract_number, severity, measure as share_of_cap, first_opened_at
from analytics.open_alerts where alert_kind = 'cap_burn';
comment on view analytics.caps_nearly_burnt is 'Which cap is nearly burnt?';

-- Resource managers.

create or replace view analytics.people_overallocated as
select split_part(entity_id, ':', 1) as employee_id, split_part(entity_id, ':', 2) as week,
  measure as share_of_capacity, first_opened_at
from analytics.open_alerts where alert_kind = 'overallocation';
comment on view analytics.people_overallocated is 'Who is planned beyond capacity, in which week?';

-- Revenue accounting.

create or replace view analytics.revenue_drifts as
select contract_number, client_id, measure as gap, unit as currency, first_opened_at
from analytics.open_alerts where alert_kind = 'revenue_drift';
comment on view analytics.revenue_drifts is 'Where do recognized revenue and delivery differ?';

-- Account teams.

create or replace view analytics.amendments_finance_has_not_seen as
select entity_id as amendment_id, contract_number, client_id, measure as place_among_approved, first_opened_at
from analytics.open_alerts where alert_kind = 'amendment_unpropagated';
comment on view analytics.amendments_finance_has_not_seen is 'Which contract amendments has finance not taken over?';

create or replace view analytics.statuses_that_differ as
select project_id, contract_number, client_id, measure as stages, first_opened_at
from analytics.open_alerts where alert_kind = 'status_mismatch';
comment on view analytics.statuses_that_differ is 'Where do the systems disagree on a stage?';

-- Executives.

create or replace view analytics.billing_cycle as
select legal_entity, posting_period, count(*) as lines,
  avg(answered_at - occurred_at) as average, percentile_cont(0.9) within group (order by answered_at - occurred_at) as p90
from analytics.billing_lines where status = 'posted'
group by legal_entity, posting_period;
comment on view analytics.billing_cycle is 'How long does it take from the change that bills to the booked document?';

create or replace view analytics.activation_times as
select opportunity_id, min(occurred_at) as began_at, max(occurred_at) as newest_at,
  max(occurred_at) - min(occurred_at) as took
from analytics.delivery_facts where fact_kind = 'activation'
group by opportunity_id;
comment on view analytics.activation_times is 'How long does a won deal take to become a project?';

create or replace view analytics.reversal_rate as
select posting_period, currency, count(*) filter (where reverses is not null) as reversals, count(*) as lines,
  round(count(*) filter (where reverses is not null)::numeric / count(*), 4) as share
from analytics.delivery_facts where fact_kind = 'billing'
group by posting_period, currency;
comment on view analytics.reversal_rate is 'What share of what was billed was taken back?';

create or replace view analytics.margin_accuracy as
select project_id, currency, margin_pct, baseline_margin_pct, margin_pct - baseline_margin_pct as off_by,
  percent_complete
from analytics.project_margins where margin_pct is not null and baseline_margin_pct is not null;
comment on view analytics.margin_accuracy is 'How far is each margin from the one that was planned?';

do $$
declare
  shown text;
begin
  for shown in
    select format('%I.%I', table_schema, table_name) from information_schema.views where table_schema = 'analytics'
  loop
    execute format('grant select on %s to analysts', shown);
  end loop;
end
$$;
