-- The database of facts beside the one of sources, so that one query compares them: what differs comes out as rows.

create extension if not exists postgres_fdw;
drop server if exists facts cascade;
create server facts foreign data wrapper postgres_fdw options (host :'host', port :'port', dbname 'analytics');
create user mapping for current_user server facts options (user :'user', password :'password');
create schema if not exists facts;
import foreign schema analytics from server facts into facts;

create table if not exists batch.booked (trigger_id text primary key, amount numeric not null, currency text not null);

create or replace view batch.net_billed as
select project_id, sum(amount) as net from facts.delivery_facts
where fact_kind = 'billing' and project_id is not null group by project_id;

-- Projects whose margin, as analysts have it, is not what the final rows come to, or not what was billed for them.
create or replace view batch.projects_that_differ as
select project_id, batch.approved_hours as hours_wanted, margin.approved_hours as hours, batch.worth as worth_wanted,
  margin.billed + margin.held as worth, batch.cost as cost_wanted, margin.cost, margin.billed, billed.net
from batch.projects as batch
full join facts.project_margins as margin using (project_id)
left join batch.net_billed as billed using (project_id)
where (batch.approved_hours, batch.billable_hours, batch.worth, batch.cost) is distinct from (
    coalesce(margin.approved_hours, 0), coalesce(margin.billable_hours, 0),
    coalesce(margin.billed + margin.held, 0), coalesce(margin.cost, 0))
  or coalesce(billed.net, 0) <> coalesce(margin.billed, 0);

-- Triggers that an ERP has not booked with their amount, and bookings of no trigger. A trigger that was reversed before it
-- was sent is superseded, and so is its reversal: neither is booked, and together they come to nothing.
create or replace view batch.bookings_that_differ as
select trigger_id, line.amount, booked.amount as booked, line.status
from (select * from facts.billing_lines where status is distinct from 'superseded') as line
full join batch.booked as booked using (trigger_id)
where (line.amount, line.currency) is distinct from (booked.amount, booked.currency)
union all
select null, sum(line.amount), null, 'superseded'
from facts.billing_lines as line where status = 'superseded'
group by contract_number having sum(line.amount) <> 0;
