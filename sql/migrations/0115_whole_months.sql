-- depends: 0114_nothing_on_the_path
-- The worker, who may add months to the usage records, can add nothing but a whole one: half a month would keep the job from ever adding it.

set local role app_owner;

create or replace function usage.create_partition(first_day date) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    partition text := 'usage_records_' || to_char(first_day, 'YYYY_MM');
begin
    if first_day <> date_trunc('month', first_day)::date then
        raise exception 'a partition begins on the first of a month' using errcode = 'invalid_parameter_value';
    end if;
    if to_regclass('usage.' || partition) is not null then
        return;
    end if;
    execute format('create table usage.%I partition of usage.usage_records for values from (%L) to (%L)',
        partition, first_day, (first_day + interval '1 month')::date);
    execute format('comment on table usage.%I is %L', partition, 'Usage billed in the month from ' || first_day || '.');
    perform app.secure_tenant_table(format('usage.%I', partition)::regclass);
end
$$;

reset role;
