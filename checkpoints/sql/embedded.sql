-- folder: what the server serves; alive means that this is ours
SELECT current_setting('data_directory');

-- has_database: a kill between the first start and CREATE DATABASE leaves none
SELECT count(*) FROM pg_database WHERE datname = 'failsoft';

-- create_database: the one that holds everything
CREATE DATABASE failsoft;

-- guests: connections besides this one, whoever opened them
SELECT count(*) FROM pg_stat_activity
WHERE backend_type = 'client backend' AND pid <> pg_backend_pid();
