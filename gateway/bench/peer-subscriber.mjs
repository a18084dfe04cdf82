// What somebody would write in an afternoon: a program that subscribes and stores each message in SQLite, as the library
// has it by default. Arguments: port of the broker, path of the database.
import Database from 'better-sqlite3';
import mqtt from 'mqtt';

const [port, path] = process.argv.slice(2);
const database = new Database(path);
const insert = database.prepare('INSERT INTO message (topic, body) VALUES (?, ?)');
const client = mqtt.connect(`mqtt://127.0.0.1:${port}`);
client.on('connect', () => client.subscribe('microgrid/#', { qos: 1 }));
client.on('message', (topic, body) => insert.run(topic, body.toString()));
