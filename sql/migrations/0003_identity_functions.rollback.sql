do $$
declare
    resolver_function regprocedure;
begin
    for resolver_function in select oid::regprocedure from pg_catalog.pg_proc where pronamespace = 'identity'::regnamespace
    loop
        execute format('drop function %s', resolver_function);
    end loop;
end
$$;
