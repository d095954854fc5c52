drop index messaging.emails_waiting_idx;
revoke update (status, error) on messaging.emails from app_api;
drop table usage.alerts;
drop table messaging.unsubscriptions;
alter table messaging.suppressions
    drop constraint suppressions_source_check, drop constraint suppressions_id_key, drop column source, drop column id;
comment on column messaging.suppressions.reason is 'Bounce, complaint, or the recipient''s wish.';
