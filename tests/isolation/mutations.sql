-- Ways to break the guards one at a time; an arrow leads to the rule of ops.findings that has to notice.

-- force dropped → row security
alter table tenancy.users no force row level security;

-- row security off → row security
alter table tenancy.users disable row level security;

-- guard dropped → row security
drop policy tenant_guard on tenancy.users;

-- access policy dropped → row security
drop policy tenant_access on tenancy.users;

-- stray permissive policy → row security
create policy stray on tenancy.users using (true);

-- guard says true → row security
alter policy tenant_guard on tenancy.users using (true);

-- access says true → row security
alter policy tenant_access on tenancy.users using (true);

-- write check weakened → row security
alter policy tenant_guard on tenancy.users with check (true);

-- write check left out → row security
drop policy tenant_guard on tenancy.users;
create policy tenant_guard on tenancy.users as restrictive using (organization_id = app.current_org_id());

-- guard made permissive → row security
drop policy tenant_guard on tenancy.users;
create policy tenant_guard on tenancy.users using (organization_id = app.current_org_id()) with check (organization_id = app.current_org_id());

-- guard for select only → row security
drop policy tenant_guard on tenancy.users;
create policy tenant_guard on tenancy.users as restrictive for select using (organization_id = app.current_org_id());

-- guard for one role only → row security
alter policy tenant_guard on tenancy.users to app_rw;

-- access for everybody → row security
alter policy tenant_access on tenancy.users to public;

-- policy with a subquery → row security
alter policy tenant_access on tenancy.users using (organization_id = (select app.current_org_id()));

-- partition without policies → row security
create table usage.usage_records_2050 partition of usage.usage_records for values from ('2050-01-01') to ('2050-02-01');

-- partition without force → row security
alter table usage.usage_records_default no force row level security;

-- helper made immutable → context function
alter function app.current_org_id() immutable;

-- helper made volatile → context function
alter function app.current_org_id() volatile;

-- helper not parallel safe → context function
alter function app.current_org_id() parallel unsafe;

-- helper without a pinned path → context function
alter function app.current_org_id() reset search_path;

-- helper with owner's rights → context function
alter function app.current_org_id() security definer;

-- helper that returns nothing → context function
create or replace function app.current_org_id() returns uuid language plpgsql stable parallel safe set search_path = '' as $$ begin return nullif(pg_catalog.current_setting('app.current_org_id', true), '')::uuid; end $$;

-- unique without the organization → tenant first
alter table tenancy.users add constraint users_email_key unique (email);

-- unique led by another column → tenant first
alter table tenancy.users add constraint users_email_key unique (email, organization_id);

-- primary key without the organization → tenant first
alter table messaging.messages drop constraint messages_pkey;
alter table messaging.messages add constraint messages_pkey primary key (id);

-- primary key dropped → primary key
alter table messaging.messages drop constraint messages_pkey;

-- index without the organization → tenant first
create index users_email_idx on tenancy.users (email);

-- single-column foreign key → foreign key
alter table tenancy.users add constraint users_id_key unique (id);
alter table messaging.messages add sender uuid;
alter table messaging.messages add constraint messages_sender_fkey foreign key (sender) references tenancy.users (id);

-- foreign key into the directory → foreign key
alter table tenancy.users add constraint users_account_id_fkey foreign key (account_id) references identity.accounts (id) not valid;

-- foreign key from outside → foreign key
alter table identity.sessions add constraint sessions_user_id_fkey foreign key (organization_id, user_id) references tenancy.users (organization_id, id) not valid;

-- foreign key never validated → constraint
alter table tenancy.api_keys drop constraint api_keys_created_by_fkey;
alter table tenancy.api_keys add constraint api_keys_created_by_fkey foreign key (organization_id, created_by) references tenancy.users (organization_id, id) not valid;

-- foreign key that nulls the organization → foreign key action
alter table tenancy.api_keys drop constraint api_keys_replaced_by_fkey;
alter table tenancy.api_keys add constraint api_keys_replaced_by_fkey foreign key (organization_id, replaced_by) references tenancy.api_keys (organization_id, id) on delete set null;

-- foreign key index dropped → foreign key index
drop index tenancy.api_keys_created_by_idx;

-- numeric money → exact type
alter table messaging.messages add cost numeric;

-- time without a zone → exact type
alter table messaging.messages add seen timestamp;

-- enum → exact type
create type tenancy.tone as enum ('a');
alter table tenancy.users add tone tenancy.tone;

-- sequence → exact type
alter table tenancy.users add n bigint generated always as identity;

-- index on an expression → index type
create index users_email_idx on tenancy.users (organization_id, lower(email));

-- index that leaks → index type
create index messages_metadata_idx on messaging.messages (organization_id, metadata);

-- table without organization → tenant column
create table tenancy.notes (id uuid not null, constraint notes_pkey primary key (id));

-- organization may be null → tenant column
create table tenancy.notes (organization_id uuid, id uuid not null, constraint notes_pkey primary key (id));

-- organization of another type → tenant column
create table tenancy.notes (organization_id text not null, constraint notes_pkey primary key (organization_id));

-- new table not secured → row security
create table tenancy.notes (organization_id uuid not null, constraint notes_pkey primary key (organization_id));

-- child table → inheritance
create table tenancy.former_users () inherits (tenancy.users);

-- rewrite rule → rewrite rule
create rule quiet as on delete to tenancy.users do also select 1;

-- right to truncate → table right
grant truncate on tenancy.users to app_rw;

-- right to make triggers → table right
grant trigger on tenancy.users to app_api;

-- right to refer → table right
grant references on tenancy.users to app_worker;

-- right for everybody → table right
grant select on billing.plans to public;

-- right with grant option → table right
grant select on tenancy.users to app_worker with grant option;

-- right on a partition → table right
grant select on usage.usage_records_default to app_api;

-- right on the directory → table right
grant select on identity.accounts to app_rw;

-- right on the queue → table right
grant select on jobs.procrastinate_jobs to app_api;

-- right to write the posture → table right
grant insert on ops.waivers to app_rw;

-- right on a column of the directory → column right
grant select (email) on identity.accounts to app_ro;

-- right to move a row → column right
grant update (organization_id) on tenancy.users to app_rw;

-- right to create → schema right
grant create on schema tenancy to app_api;

-- public schema open → schema right
grant create on schema public to public;

-- temporary tables → database right
do $$ begin execute format('grant temporary on database %I to app_api', current_database()); end $$;

-- default privileges → default privileges
alter default privileges for role app_owner in schema tenancy grant select on tables to app_api;

-- table of a login role → owner
alter table tenancy.users owner to app_api;

-- application above row security → role
alter role app_api bypassrls;

-- application a superuser → role
alter role app_worker superuser;

-- application may make roles → role
alter role app_api createrole;

-- application can become the owner → role
grant app_owner to app_worker;

-- application can become a recorder → role
grant usage_recorder to app_api;

-- operator can become the trail's writer → role
grant audit_writer to app_auditor;

-- context default on a role → context default
alter role app_api set app.current_org_id = '11111111-1111-4111-8111-111111111111';

-- context default on the database → context default
do $$ begin execute format('alter database %I set app.current_org_id = %L', current_database(), 'x'); end $$;

-- triggers silenced by a default → context default
alter role app_worker set session_replication_role = replica;

-- materialized view shown → materialized view
create materialized view tenancy.people as select * from tenancy.users;
grant select on tenancy.people to app_rw;

-- view with owner's rights → view security
create view tenancy.people as select * from tenancy.users;

-- function nobody reviewed → definer function
create function tenancy.peek() returns bigint language sql security definer set search_path = '' as 'select count(*) from tenancy.users';

-- definer function unpinned → definer function
alter function identity.resolve_key(bytea) reset search_path;

-- definer function of a broad owner → definer function
alter function identity.resolve_key(bytea) owner to app_owner;

-- definer function gone → definer function
alter function identity.resolve_key(bytea) security invoker;

-- function for everybody → function right
grant execute on function identity.resolve_key(bytea) to public;

-- function unpinned → search path
alter function billing.charge(uuid, date) reset search_path;

-- audit trigger dropped → audit trigger
drop trigger write_event on tenancy.users;

-- audit trigger disabled → audit trigger
alter table tenancy.users disable trigger write_event;

-- trail open to change → append only
drop trigger keep_rows on audit.events;

-- trail open to truncate → append only
alter table audit.events_default disable trigger keep_table;

-- column without a comment → comment
alter table tenancy.users add note text;

-- policy without a comment → comment
comment on policy tenant_guard on tenancy.users is null;

-- function without a comment → comment
comment on function app.current_org_id() is null;

-- name not chosen → chosen name
alter table tenancy.users add constraint c1 check (length(email) > 2);

-- index whose name was not chosen → chosen name
create index i1 on tenancy.users (organization_id, email);

-- unique index that is named like any other → chosen name
create unique index users_email_idx on tenancy.users (organization_id, email);

-- digest of a key in a tenant table → secret
alter table tenancy.api_keys add digest bytea;

-- door to the queue with the queue on its path → search path
alter function jobs.defer(text, text, jsonb, text, text, integer, timestamptz) set search_path = jobs, pg_temp;

-- waiver for nothing → waiver
insert into ops.waivers values ('global table', 'tenancy.nothing', 'There is no such table at all.');

-- queue without row security → queue boundary
alter table jobs.procrastinate_jobs disable row level security;

-- queue without a policy → queue boundary
drop policy worker_runs on jobs.procrastinate_workers;
drop policy writer_notes on jobs.procrastinate_workers;

-- glass open without a reason → break glass
grant app_breakglass to app_auditor;

-- glass open without a reason by way of another role → break glass
grant app_breakglass to app_responder;

-- glass open to whoever may lend it → role
grant glass_keeper to app_auditor;

-- glass broken by somebody whose statements are not logged → break glass
grant app_responder to app_exporter;

-- glass broken by somebody whose statements are not logged in this database → break glass
grant app_responder to app_auditor;
do $$ begin execute format('alter role app_auditor in database %I set log_statement = %L', current_database(), 'ddl'); end $$;

-- glass broken by somebody who may stop the log → break glass
grant app_responder to app_auditor;
grant set on parameter log_statement to app_auditor;

-- glass lent for longer than a transaction → break glass
alter table audit.glass_entries disable trigger take_glass_back;

-- reason for the glass taken out of the record → append only
drop trigger keep_rows on audit.glass_entries;

-- inexact type in a directory → exact type
alter table identity.accounts add column worth numeric;

-- index of a directory that leaks → index type
create index accounts_length_idx on identity.accounts ((length(email_key)::numeric));

-- foreign key of the queue that sets null → foreign key action
create table jobs.mutation (id bigint, job_id bigint references jobs.procrastinate_jobs (id) on delete set null);

-- foreign key of the queue without an index → foreign key index
create table jobs.mutation (id bigint primary key, job_id bigint references jobs.procrastinate_jobs (id));

-- function of ours beside the queue without a search path → search path
alter function jobs.rescue_stalled(interval) reset search_path;

-- uncommented column of the queue → comment
comment on column jobs.procrastinate_jobs.args is null;

-- function of the queue itself without a search path → search path
alter function jobs.procrastinate_fetch_job_v2(character varying[], bigint) reset search_path;

-- column of a view without a comment → comment
comment on column ops.findings.rule is null;

-- large objects for everybody → built-in function
grant execute on function pg_catalog.lo_from_bytea(oid, bytea) to public;

-- advisory locks for everybody → built-in function
grant execute on function pg_catalog.pg_try_advisory_lock(bigint) to public;

-- signals for everybody → built-in function
grant execute on function pg_catalog.pg_terminate_backend(integer, bigint) to public;

-- large object that is there → large object
select lo_create(0);

-- schema that linters skip → schema name
create schema auth;
