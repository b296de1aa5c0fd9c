// A plain client: `TOKEN=… node ws_client.mjs URL CONTENT` asks once and prints each frame until the answer has ended.
// Node's own WebSocket takes headers in its second argument (undici, "WebSocketInit").

const [url, content] = process.argv.slice(2)
const socket = new WebSocket(url, { headers: { Authorization: `Bearer ${process.env.TOKEN}` } })

socket.onopen = () => socket.send(JSON.stringify({ type: 'message', content }))
socket.onmessage = ({ data }) => {
  console.log(data)
  if (['done', 'failed', 'cancelled', 'error'].includes(JSON.parse(data).type)) socket.close()
}
socket.onerror = () => { process.exitCode = 1 }
