-- The password of the connector's role, of the file that DEBEZIUM_PASSWORD_FILE names. After connect/psa/2-capture.sql.

\set password `cat "$DEBEZIUM_PASSWORD_FILE"`
alter role debezium password :'password';
