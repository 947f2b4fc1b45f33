-- The reference schema of a PSA database, PostgreSQL 15 or newer.
--
--     psql -v ON_ERROR_STOP=1 -f connect/psa/1-schema.sql
--
-- A PSA that has these tables already needs only 2-capture.sql. It can be run again: what is there is left as it is.
-- Columns and their order are those of the contracts psa.public.*; schemas/mappings/psa.yaml says how each is read.
--
-- No foreign keys. Tools load rows table by table or replay old ones, and a parent that comes later must not hold them
-- up; the stream needs no order either: it parks what waits for its partner. A cascade would also delete what is billed.
-- No checks on words such as status: what they mean is said by the mapping, and a new word is parked, not lost.

create table if not exists public.clients (
  id text primary key,
  name text not null,
  crm_account_id text not null,
  status text not null,
  updated_at timestamptz not null
);
comment on table public.clients is 'The PSA''s copy of a client, tied to the CRM account.';
comment on column public.clients.crm_account_id is 'Id of the account in the CRM: the client''s identity across systems.';

create table if not exists public.resources (
  id text primary key,
  employee_id text not null,
  name text not null,
  updated_at timestamptz not null
);
comment on table public.resources is 'The PSA''s name for a worker.';
comment on column public.resources.employee_id is 'Employee id in the HR system: the worker''s identity across systems.';

create table if not exists public.projects (
  id text primary key,
  name text not null,
  client_id text not null,
  contract_number text,
  stage text not null,
  billing_hold boolean not null default false,
  region text not null,
  legal_entity text,
  cost_center text,
  currency char(3) not null,
  start_date date not null,
  end_date date,
  budget_hours numeric(9, 4),
  budget_cost numeric(20, 4),
  baseline_margin_pct numeric(9, 6),
  updated_at timestamptz not null
);
create index if not exists projects_client on public.projects (client_id);
create index if not exists projects_contract on public.projects (contract_number);
comment on table public.projects is 'A project as the PSA runs it.';
comment on column public.projects.stage is 'Proposed, In Delivery, Paused, Completed or Cancelled.';
comment on column public.projects.billing_hold is 'True while the project lead holds all billing of the project.';
comment on column public.projects.legal_entity is 'The PSA''s copy; the ERP owns it.';
comment on column public.projects.cost_center is 'The PSA''s copy; the ERP owns it.';
comment on column public.projects.currency is 'Currency of the project''s margin, ISO 4217.';
comment on column public.projects.baseline_margin_pct is 'Margin planned at the start, as a fraction of one: 0.25 is 25 %.';

-- What belongs to a project has an index on (project_id, id): a snapshot on request reads in this order, piece by piece.

create table if not exists public.milestones (
  id text primary key,
  project_id text not null,
  name text not null,
  amount numeric(20, 4),
  percent numeric(9, 6),
  due_date date,
  status text not null,
  completed_at timestamptz,
  accepted_at timestamptz,
  updated_at timestamptz not null
);
create index if not exists milestones_project on public.milestones (project_id, id);
comment on table public.milestones is 'A delivery that is paid for, by an amount or by a fraction of the contract''s value.';
comment on column public.milestones.amount is 'Amount due, in the currency of the contract; goes before percent.';
comment on column public.milestones.percent is 'Share of the contract''s value due, as a fraction of one: 0.25 is 25 %.';
comment on column public.milestones.status is 'Not Started, Started, Done, Signed Off or Dropped.';

create table if not exists public.assignments (
  id text primary key,
  project_id text not null,
  resource_id text not null,
  role text not null,
  start_date date not null,
  end_date date not null,
  hours_per_week numeric(9, 4) not null,
  status text not null,
  updated_at timestamptz not null
);
create index if not exists assignments_project on public.assignments (project_id, id);
create index if not exists assignments_resource on public.assignments (resource_id);
comment on table public.assignments is 'A resource planned on a project for a span of days, the last one included.';
comment on column public.assignments.role is 'Role of the resource on the project; names the bill rate.';
comment on column public.assignments.hours_per_week is 'Hours planned in a week of five working days.';
comment on column public.assignments.status is 'Confirmed, Tentative or Cancelled.';

create table if not exists public.time_entries (
  id text primary key,
  project_id text not null,
  resource_id text not null,
  role text not null,
  work_date date not null,
  hours numeric(9, 4) not null,
  billable boolean not null,
  status text not null,
  approved_at timestamptz,
  updated_at timestamptz not null
);
create index if not exists time_entries_project on public.time_entries (project_id, id);
create index if not exists time_entries_resource on public.time_entries (resource_id, work_date);
comment on table public.time_entries is 'Hours of one resource for one project on one day. Only approved ones cost and bill.';
comment on column public.time_entries.role is 'Role the resource worked in; names the bill rate.';
comment on column public.time_entries.status is 'Draft, Submitted, Approved or Rejected.';

create table if not exists public.expenses (
  id text primary key,
  project_id text not null,
  resource_id text not null,
  category text not null,
  expense_date date not null,
  amount numeric(20, 4) not null,
  currency char(3) not null,
  billable boolean not null,
  status text not null,
  approved_at timestamptz,
  updated_at timestamptz not null
);
create index if not exists expenses_project on public.expenses (project_id, id);
create index if not exists expenses_resource on public.expenses (resource_id, expense_date);
comment on table public.expenses is 'An outlay of a resource for a project, in any currency. Only approved ones cost and bill.';
comment on column public.expenses.expense_date is 'Day of the outlay; names the exchange rate.';
comment on column public.expenses.amount is 'Amount paid, in currency.';
comment on column public.expenses.status is 'Draft, Submitted, Approved or Rejected.';
