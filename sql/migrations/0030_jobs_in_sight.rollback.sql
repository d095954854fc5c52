delete from ops.reviewed_functions where function = 'jobs.figures()';
drop function jobs.figures();
drop table jobs.gauges;
drop table jobs.job_errors;
revoke select on jobs.procrastinate_events from job_writer;
