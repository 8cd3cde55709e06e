using Flamingo.Bench.Peers;

return await PeerCommand.RunAsync(args, Console.Out, Console.Error);
