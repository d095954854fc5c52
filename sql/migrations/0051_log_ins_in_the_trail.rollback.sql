drop trigger note_log_out on identity.sessions;
drop trigger note_log_in on identity.sessions;
