using Flamingo.Abstractions;
using Flamingo.Gateway.Latents;
using Flamingo.Gateway.Operations;
using Flamingo.Gateway.Prompts;
using Flamingo.Gateway.Tenants;
using Flamingo.Gateway.Tests.Redis;
using Flamingo.Stages;
using Microsoft.Extensions.DependencyInjection;

namespace Flamingo.Gateway.Tests.Latents;

/// <summary>
/// Has one test per part of the latent key. After the part has changed, no old latents are used, neither from memory nor from
/// Redis.
/// </summary>
public sealed class StaleLatentsTests : IDisposable
{
    private readonly RespServer _server = new();

    public void Dispose() => _server.Dispose();

    public static TheoryData<string> Ingredients =>
        ["nothing", "picture", "vision", "resampler", "preprocessing", "dtype", "salt", "tenant"];

    [Theory(Timeout = 60_000), MemberData(nameof(Ingredients))]
    public async Task Nothing_old_is_served_after_a_change_of(string ingredient)
    {
        var before = new Stage();
        await using (var gateway = Gateway(before, ""))
        {
            Assert.Equal(PictureSource.Encoded, await SourceAsync(gateway, 1, ""));
            Assert.Equal(PictureSource.Memory, await SourceAsync(gateway, 1, ""));
            while (gateway.GetRequiredService<LatentCacheOperations>().Read().Redis!.BytesWritten == 0)
            {
                TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
                await Task.Yield(); // the write runs in the background, on the same threads
            }
        }

        var after = new Stage();
        if (ingredient == "vision") after.Vision = after.Vision with { WeightsDigest = "vision-2" };
        if (ingredient == "resampler") after.Resampler = after.Resampler with { WeightsDigest = "resampler-2" };
        if (ingredient == "preprocessing") after.Vision = after.Vision with { PreprocessingVersion = "pre-2" };
        if (ingredient == "dtype") after.Resampler = after.Resampler with { LatentDtype = TensorDtype.BFloat16 };
        await using var changed = Gateway(after, ingredient == "salt" ? "another" : "");
        var (file, tenant) = ((byte)(ingredient == "picture" ? 2 : 1), ingredient == "tenant" ? "another" : "");
        Assert.Equal(ingredient == "nothing" ? PictureSource.Redis : PictureSource.Encoded, await SourceAsync(changed, file, tenant));
        Assert.Equal(ingredient == "nothing" ? 0 : 1, after.Encodes.Count);
        if (ingredient is not ("nothing" or "dtype")) Assert.Equal(PictureSource.Memory, await SourceAsync(changed, file, tenant));
    }

    [Fact]
    public async Task A_picture_of_another_tenant_is_not_found_by_its_id()
    {
        await using var gateway = new Stage().Services();
        await SourceAsync(gateway, 1, "a");
        await SourceAsync(gateway, 1, "a", withFile: false);
        var refusal = await Assert.ThrowsAsync<FlamingoException>(() => SourceAsync(gateway, 1, "b", withFile: false));
        Assert.Equal((FlamingoErrorKind.NotFound, PictureId.Of([1])), (refusal.Kind, Assert.Single(refusal.Missing)));
    }

    private ServiceProvider Gateway(Stage stage, string salt) =>
        stage.Services(
            ("Redis:ConnectionString", _server.Address),
            ("Redis:LookupBudget", "00:00:05"), ("Redis:LeaseBudget", "00:00:05"), ("Redis:WriteBudget", "00:00:05"),
            ("Redis:LeaseDuration", "00:00:15"),
            ("Gateway:TenantSalt", salt));

    private static async Task<PictureSource> SourceAsync(ServiceProvider gateway, byte file, string tenant, bool withFile = true)
    {
        var salt = gateway.GetRequiredService<GatewayOptions>().TenantSalt;
        var picture = new RequestedPicture(PictureId.Of([file]), withFile ? VisualInput.Still(new[] { file }) : null, "picture");
        var latents = await gateway.GetRequiredService<LatentCache>()
            .GetOrEncodeAsync([picture], Tenant.Of(tenant, salt), TestContext.Current.CancellationToken);
        return Assert.Single(latents).Source;
    }
}
