drop schema usage cascade;
