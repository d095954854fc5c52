-- Guards broken for good in a database of its own; an arrow leads to the attack that then gets through.

-- no guard and a stray policy → select_foreign
drop policy tenant_guard on tenancy.users;
create policy stray on tenancy.users using (true);

-- row security off → blind_update
alter table tenancy.users disable row level security;

-- no check on writing → insert_foreign
alter policy tenant_guard on messaging.messages with check (true);
alter policy tenant_access on messaging.messages with check (true);

-- rows can be moved → move
grant update (organization_id) on messaging.suppressions to app_rw;
alter policy tenant_guard on messaging.suppressions with check (true);
alter policy tenant_access on messaging.suppressions with check (true);
alter table messaging.suppressions drop constraint suppressions_organization_id_fkey;

-- deletion unguarded → delete_foreign
alter table messaging.suppressions disable row level security;

-- unique without the organization → unique_probe
alter table messaging.emails add constraint emails_subject_id_key unique (recipient);

-- single-column foreign key → foreign_key
alter table tenancy.users add constraint users_id_key unique (id);
alter table tenancy.api_keys drop constraint api_keys_created_by_fkey;
alter table tenancy.api_keys add constraint api_keys_created_by_fkey foreign key (created_by) references tenancy.users (id);

-- helper that answers nothing → contexts
create or replace function app.current_org_id() returns uuid language plpgsql stable parallel safe set search_path = '' as $$ begin return case when pg_catalog.length(pg_catalog.current_setting('app.current_org_id', true)) = 36 then pg_catalog.current_setting('app.current_org_id', true)::uuid end; end $$;

-- right to truncate → truncate
grant truncate on all tables in schema messaging, tenancy, usage, billing to app_rw;

-- right on a partition → partitions
grant select on usage.usage_records_default to app_rw;

-- copy of everything → copy_out
alter table messaging.emails disable row level security;

-- upsert over another's row → upsert
alter table tenancy.idempotency_keys disable row level security;

-- update unguarded → update_foreign
alter table tenancy.organizations disable row level security;

-- unique that two organizations meet on → conflict_oracle
alter table messaging.emails add constraint emails_meeting_key unique (recipient);

-- copy into a table without policies → copy_in
alter table messaging.emails disable row level security;

-- row security off for a table that is merged into → merge
alter table tenancy.idempotency_keys disable row level security;

-- insertion by merge unchecked → merge
alter policy tenant_guard on messaging.messages with check (true);
alter policy tenant_access on messaging.messages with check (true);

-- row security off for a table that hands rows back → returning
alter table messaging.suppressions disable row level security;

-- a condition asked before the policies → leaky_condition
alter function app.current_org_id() volatile;
alter function pg_catalog.int4div(integer, integer) leakproof;

-- rows that are locked as if they were there → row_lock
alter table tenancy.idempotency_keys disable row level security;

-- helper whose answer is kept in a plan → prepared
alter function app.current_org_id() immutable;

-- statistics of a table without policies → statistics
alter table tenancy.users disable row level security;
