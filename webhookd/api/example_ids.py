"""Ids for examples."""

from typing import Final

TASK_ID: Final = "task_01kats8w40v5x2m7n9q3r8d6fh"
ENDPOINT_ID: Final = "ep_01kats8w41b7c2d9e4f6g8h0jk"
MESSAGE_ID: Final = "msg_01kats8w9gs6t8v0w2x4y6z8a0"
DELIVERY_ID: Final = "dlv_01kats8w9hc4d6e8f0g2h4j6k8"
PARTNER_ID: Final = "prt_01kats8w3zq1r3s5t7v9w1x3y5"
REPLAY_ID: Final = "rpl_01kats9zzzm2n4p6q8r0s2t4v6"
DISCARD_ID: Final = "dsc_01katsa2c4m6p8r0t2v4x6z8b0"
FILE_ID: Final = "file_01kats8w2xa9b1c3d5e7f9g1h3"
BATCH_ID: Final = "batch_01kats8w3y5x2m7n9q3r8d6fhj"
KEY_ID: Final = "key_01kats8w3za1b3c5d7e9f1g3h5"
TRACE_ID: Final = "0af7651916cd43dd8448eb211c80319c"
