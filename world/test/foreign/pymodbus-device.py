"""A Modbus device served by pymodbus (Debian's python3-pymodbus): registers as JSON on standard input, read-only tests.

{"unit": 1, "blocks": [[40000, [..]], ...], "tcp": 5555} or {..., "serial": "/dev/..", "baud": 9600}
"""

import json
import sys

from pymodbus.datastore import ModbusSequentialDataBlock, ModbusServerContext, ModbusSlaveContext, ModbusSparseDataBlock
from pymodbus.server import StartSerialServer, StartTcpServer
from pymodbus.transaction import ModbusRtuFramer

told = json.loads(sys.stdin.readline())
registers = {}
for first, words in told["blocks"]:
    for offset, word in enumerate(words):
        registers[first + offset] = word
block = ModbusSparseDataBlock(registers)
empty = ModbusSequentialDataBlock(0, [0])
slave = ModbusSlaveContext(di=empty, co=empty, hr=block, ir=block, zero_mode=True)
context = ModbusServerContext(slaves={told["unit"]: slave}, single=False)
print("ready", flush=True)
if "tcp" in told:
    StartTcpServer(context=context, address=("127.0.0.1", told["tcp"]))
else:
    StartSerialServer(context=context, framer=ModbusRtuFramer, port=told["serial"], baudrate=told["baud"], timeout=0.005)
