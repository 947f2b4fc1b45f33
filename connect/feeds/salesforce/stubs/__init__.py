"""Messages of the Pub/Sub API, written by the protocol buffer compiler; README.md says from what and how."""
