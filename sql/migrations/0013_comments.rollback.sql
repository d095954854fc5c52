-- Comments stay with what they describe and go with it.
select 1;
