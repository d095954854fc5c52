drop trigger follow_plan on tenancy.organizations;
drop schema billing cascade;
